"""Contestants in processes of their own, timed in short turns one after the other, and compared round by round."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.errors import ModelError

SPREAD = (10, 50, 90)
"""Percentiles of a ratio over the rounds."""

ANSWERS: dict[str, dict[str, Any]] = {
    "turn": {"taken": list, "cpu_ns_per_call": (int, float)},
    "server": {"taken": list, "dropped": int, "achieved": (int, float)},
    "streams": {"taken": list, "per_second": (int, float)},
}
"""The fields, and their types, of the answers to the tasks of :mod:`lightrec.benchmarks.workers.worker_protocol`."""

STABLE, STEADY_TURNS, MOST_TURNS = 0.05, 3, 10
"""Warm: the medians of so many turns in a row lie within this share of each other. After the most turns it stops."""


class Contestant:
    """A running worker that has loaded its model; see :mod:`lightrec.benchmarks.workers.worker_protocol`.

    Args:
        label: its name in rows.
        command: starts it.
        threads: compute threads, told to its libraries by environment variables too.
        limits: what the process is held to.

    A worker that does not answer in time is killed with all that it has started.

    Raises:
        ModelError: if it does not start; its last words are in the message.
    """

    def __init__(self, label: str, command: Sequence[str], threads: int = 1, limits: Limits | None = None):
        self.label = label
        """Its name in rows."""
        self.failure: str | None = None
        """How it ended before its time; None while it answers."""
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self._process = children.start(
            command,
            limits,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **counts},
        )
        self.facts: dict[str, Any] = self._answer({"calls": list}, children.PATIENCE)
        """What it told of itself when it was ready."""

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        children.end(self._process, 0.0 if self.failure else children.GRACE)
        self._said.close()

    @property
    def process(self) -> int:
        """The id of its process."""
        return self._process.pid

    def turn(self, probe: str, first: int, seconds: float) -> np.ndarray:
        """Nanoseconds of the calls that it made in its turn, from input ``first`` on."""
        return _nanoseconds(self.ask("turn", probe, first=first, seconds=seconds))

    def try_ask(self, task: str, probe: str, **what: Any) -> dict[str, Any] | None:
        """As :meth:`ask`; None if it fails, or has failed before: :attr:`failure` says how, and the others go on."""
        if self.failure is not None:
            return None
        try:
            return self.ask(task, probe, **what)
        except ModelError:
            return None

    def ask(self, task: str, probe: str, **what: Any) -> dict[str, Any]:
        """The answer to a task of :data:`lightrec.benchmarks.workers.worker_protocol.TASKS`.

        Raises:
            ModelError: if it ends instead; its last words are in the message.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: what it said last is in the error below
            self._process.stdin.write(json.dumps({"do": task, "probe": probe, **what}) + "\n")
            self._process.stdin.flush()
        return self._answer(ANSWERS[task], children.PATIENCE + 10 * what.get("seconds", 0.0))

    def _answer(self, wanted: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The next line, which must hold the fields ``wanted`` of those types, within so many seconds."""
        assert self._process.stdout is not None
        with children.limited(self._process, seconds) as over:
            line = self._process.stdout.readline()
        if not line:
            self._fail(children.last_words(self._process, self._said, over.is_set(), seconds))
        try:
            answer: dict[str, Any] = json.loads(line)
            if all(isinstance(answer[name], kind) for name, kind in wanted.items()):
                return answer
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        children.kill(self._process)
        self._fail(f"it answered something else than was asked: {line[:80]!r}")

    def _fail(self, words: str) -> NoReturn:
        self.failure = f"{self.label} failed: {words}"
        children.end(self._process)
        raise ModelError(self.failure)


def race(
    entries: Sequence[tuple[Contestant, str]], *, rounds: int, seconds: float, stride: int = 1, tolerant: bool = False
) -> list[list[np.ndarray]]:
    """Time every entry, a contestant and its probe, in each of ``rounds`` rounds, after one uncounted turn each.

    An entry's place in the round moves on by one from round to round.

    Args:
        entries: E of them.
        rounds: number of rounds, R.
        seconds: length of a turn.
        stride: how many inputs further every round begins.
        tolerant: a contestant that fails has no more turns, and the others go on.

    Returns:
        for each entry the nanoseconds of each call of each round.

    Raises:
        ModelError: if one fails, unless that is tolerated.
    """
    taken: list[list[np.ndarray]] = [[] for _ in entries]

    def turn(place: int, first: int) -> list[np.ndarray]:
        contestant, probe = entries[place]
        if not tolerant:
            return [contestant.turn(probe, first, seconds)]
        answer = contestant.try_ask("turn", probe, first=first, seconds=seconds)
        return [] if answer is None else [_nanoseconds(answer)]

    for place in range(len(entries)):
        turn(place, 0)
    for number in range(rounds):
        for shift in range(len(entries)):
            place = (number + shift) % len(entries)
            taken[place] += turn(place, number * stride)
    return taken


def warm_up(contestant: Contestant, probe: str, seconds: float) -> dict[str, Any]:
    """Uncounted turns until the medians of the last :data:`STEADY_TURNS` are alike; how many, and whether they were."""
    medians: list[float] = []
    while len(medians) < MOST_TURNS:
        medians.append(float(np.median(contestant.turn(probe, 0, seconds))))
        last = medians[-STEADY_TURNS:]
        if len(last) == STEADY_TURNS and max(last) <= (1 + STABLE) * min(last):
            return {"turns": len(medians), "stable": True}
    return {"turns": len(medians), "stable": False}


def ratio(own: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """``own`` over ``other``, pair by pair: the median with the 10th and 90th percentile around it.

    >>> ratio([1.0, 3.0, 2.0], [2.0, 2.0, 2.0])
    {'low': 0.6, 'value': 1.0, 'high': 1.4}
    """
    pairs = np.asarray(own, dtype=np.float64) / np.asarray(other, dtype=np.float64)
    low, value, high = (float(found) for found in np.percentile(pairs, SPREAD).round(4))
    return {"low": low, "value": value, "high": high}


def medians(rounds: Sequence[np.ndarray]) -> list[float]:
    """The median of each round, in milliseconds."""
    return [float(np.median(calls)) / 1e6 for calls in rounds]


def _nanoseconds(answer: dict[str, Any]) -> np.ndarray:
    return np.array(answer["taken"], dtype=np.int64)
