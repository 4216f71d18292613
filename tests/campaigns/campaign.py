"""Campaigns: random attacks that run for as long as they are given and count what happened by outcome.

A campaign repeats one kind of attempt: it damages an input, kills a command or sends a strange request, and compares
the answer with an oracle. Every attempt has one of three outcomes: the answer was right, the input was refused with one
sentence, or anything else happened. The last one must never occur.

Each attempt draws all its choices from a generator that is seeded by the campaign's seed and the attempt's number, so
that ``--seed S --first N --attempts 1`` repeats a failure alone.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import random
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

MAX_FAILURES_KEPT = 20
"""Failures whose details are kept; all of them are counted."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one attempt came to."""

    result: Literal["right", "refused", "other"]
    """Answered right, refused with one sentence, or anything else."""
    kind: str
    """The kind of attempt, for the counts: "gzip cut short"."""
    detail: str = ""
    """What happened, where it is neither right nor refused."""

    @classmethod
    def right(cls, kind: str) -> Outcome:
        """The answer equals the oracle's."""
        return cls("right", kind)

    @classmethod
    def refused(cls, kind: str, message: str) -> Outcome:
        """The input was refused with ``message``, which must be one sentence; otherwise the outcome is another."""
        problem = sentence_problem(message)
        return cls("refused", kind) if problem is None else cls.other(kind, f"{problem}: {message[:500]}")

    @classmethod
    def other(cls, kind: str, detail: str) -> Outcome:
        """Neither right nor refused: a wrong answer, a traceback, a hang, a leak."""
        return cls("other", kind, detail)


class Campaign(abc.ABC):
    """One kind of attack. Subclasses set :attr:`name` and :attr:`promise`."""

    name: str
    """How the command line and the stored rows call it."""
    promise: str
    """What holds if no outcome is "other": one sentence."""

    def prepare(self, folder: Path) -> None:  # noqa: B027 — most campaigns need it, some do not
        """Make what all attempts share, inside ``folder``, which is empty and removed at the end."""

    @abc.abstractmethod
    def attempt(self, random: random.Random) -> Outcome:
        """Make one attempt; an exception that escapes is counted as another outcome."""

    def close(self) -> None:  # noqa: B027 — likewise
        """Stop what :meth:`prepare` started."""


@dataclasses.dataclass
class Report:
    """The counts of one run of a campaign."""

    attempts: int = 0
    counts: dict[str, collections.Counter[str]] = dataclasses.field(
        default_factory=lambda: {result: collections.Counter() for result in ("right", "refused", "other")}
    )
    """For each outcome, how many attempts of each kind had it."""
    failures: list[dict[str, object]] = dataclasses.field(default_factory=list)
    """Number, kind and detail of the first attempts whose outcome was another."""
    seconds: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Count one outcome."""
        self.attempts += 1
        self.counts[outcome.result][outcome.kind] += 1
        if outcome.result == "other" and len(self.failures) < MAX_FAILURES_KEPT:
            self.failures.append({"number": number, "kind": outcome.kind, "detail": outcome.detail})

    def total(self, result: str) -> int:
        """How many attempts had the outcome ``result``."""
        return self.counts[result].total()


def run_campaign(
    campaign: Campaign, folder: Path, seconds: float, seed: int = 0, first: int = 0, attempts: int | None = None
) -> Report:
    """Make attempts until the time is over.

    Args:
        campaign: what to attempt.
        folder: an empty folder for its files.
        seconds: for how long; at least one attempt is made.
        seed: of all choices.
        first: the number of the first attempt.
        attempts: at most how many; no limit if None.
    """
    report = Report()
    started = time.monotonic()
    with contextlib.closing(campaign):
        campaign.prepare(folder)
        began = time.monotonic()
        for number in _numbers(first, attempts):
            report.add(number, _attempt(campaign, random.Random(f"{seed}/{number}")))
            if time.monotonic() - began >= seconds:
                break
    report.seconds = time.monotonic() - started
    return report


def sentence_problem(message: str) -> str | None:
    """What keeps ``message`` from being one sentence for people; None if nothing does."""
    text = message.strip()
    if not text:
        return "no message"
    if "Traceback (most recent call last)" in text or re.search(r"\bat 0x[0-9a-f]{6,}", text):
        return "a traceback or an object's address"
    if len(text.splitlines()) > 1:
        return "several lines"
    if len(text) > 1500:
        return "more than 1,500 characters"
    return None


def _numbers(first: int, attempts: int | None) -> Iterator[int]:
    number = first
    while attempts is None or number < first + attempts:
        yield number
        number += 1


def _attempt(campaign: Campaign, choices: random.Random) -> Outcome:
    try:
        return campaign.attempt(choices)
    except Exception as error:
        return Outcome.other(f"{type(error).__name__} escaped", traceback.format_exc()[-3000:])
