"""Contestants in processes of their own, timed in short turns one after the other, and compared round by round."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.errors import ModelError

SPREAD = (10, 50, 90)
"""Percentiles of a ratio over the rounds."""


class Contestant:
    """A running worker that has loaded its model and waits for its turns; see :mod:`lightrec.benchmarks.turns`.

    Args:
        label: its name in rows.
        command: starts it.
        threads: compute threads, told to its libraries by environment variables too.

    Raises:
        ModelError: if it does not start; its last words are in the message.
    """

    def __init__(self, label: str, command: Sequence[str], threads: int = 1):
        self.label = label
        """Its name in rows."""
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                env={**os.environ, **limits},
            )
        except OSError as error:
            raise ModelError(f"The interpreter {command[0]} cannot be started ({error.strerror}): check it.") from None
        self.facts: dict[str, Any] = self._answer()
        """What it told of itself when it was ready."""

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def turn(self, probe: str, first: int, seconds: float) -> np.ndarray:
        """Nanoseconds of the calls that it made in its turn, from input ``first`` on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"probe": probe, "first": first, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return np.array(self._answer()["taken"], dtype=np.int64)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            words = (self._said.read().strip().splitlines() or ["it said nothing"])[-1]
            raise ModelError(f"{self.label} failed: {words}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def race(
    entries: Sequence[tuple[Contestant, str]], *, rounds: int, seconds: float, stride: int = 1
) -> list[list[np.ndarray]]:
    """Time every entry, a contestant and its probe, in each of ``rounds`` rounds, after one uncounted turn each.

    An entry's place in the round moves on by one from round to round.

    Args:
        entries: E of them.
        rounds: number of rounds, R.
        seconds: length of a turn.
        stride: how many inputs further every round begins.

    Returns:
        for each entry the nanoseconds of each call of each round.
    """
    taken: list[list[np.ndarray]] = [[] for _ in entries]
    for contestant, probe in entries:
        contestant.turn(probe, 0, seconds)
    for number in range(rounds):
        for shift in range(len(entries)):
            place = (number + shift) % len(entries)
            contestant, probe = entries[place]
            taken[place].append(contestant.turn(probe, number * stride, seconds))
    return taken


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


def worker(name: str) -> Path:
    """The file of the worker ``name``."""
    return Path(__file__).with_name(f"worker_{name}.py")
