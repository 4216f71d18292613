"""Time several workers in interleaved rounds, so that noise of the machine affects all of them alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightrec.benchmarks.harness.worker_process import WorkerProcess, nanoseconds
from lightrec.benchmarks.row_types import WarmUp

SPREAD = (10, 50, 90)
"""Percentiles of a ratio over the rounds."""

STABLE_SPREAD, STABLE_SLICES, MAX_SLICES = 0.05, 3, 10
"""A worker is warm when the medians of this many time slices in a row are within this share of each other.

Warm-up ends after the maximum number of slices in any case.
"""


def time_interleaved(
    entries: Sequence[tuple[WorkerProcess, str]],
    *,
    rounds: int,
    seconds: float,
    stride: int = 1,
    tolerant: bool = False,
) -> list[list[np.ndarray]]:
    """Time every entry, a worker and its probe, once per round, after one uncounted time slice each.

    The order of the entries rotates by one from round to round.

    Args:
        entries: E pairs of a worker and its probe.
        rounds: number of rounds, R.
        seconds: length of a time slice.
        stride: by how many inputs the start moves on from round to round.
        tolerant: whether the others continue when a worker fails.

    Returns:
        for each entry the nanoseconds of each call of each round.

    Raises:
        ModelError: if a worker fails, unless ``tolerant``.
    """
    timings: list[list[np.ndarray]] = [[] for _ in entries]

    def time_slice(place: int, first: int) -> list[np.ndarray]:
        worker, probe = entries[place]
        if not tolerant:
            return [worker.time(probe, first, seconds)]
        answer = worker.try_ask("time", probe, first=first, seconds=seconds)
        return [] if answer is None else [nanoseconds(answer)]

    for place in range(len(entries)):
        time_slice(place, 0)
    for number in range(rounds):
        for place in rotated(len(entries), number):
            timings[place] += time_slice(place, number * stride)
    return timings


def rotated(count: int, number: int) -> list[int]:
    """Return the order of ``count`` entries in round ``number``: it moves on by one from round to round.

    >>> rotated(3, 0), rotated(3, 1)
    ([0, 1, 2], [1, 2, 0])
    """
    return [(number + shift) % count for shift in range(count)]


def warm_up(worker: WorkerProcess, probe: str, seconds: float) -> WarmUp:
    """Run uncounted time slices until the last :data:`STABLE_SLICES` medians agree, and return how many it took."""
    medians: list[float] = []
    while len(medians) < MAX_SLICES:
        medians.append(float(np.median(worker.time(probe, 0, seconds))))
        last = medians[-STABLE_SLICES:]
        if len(last) == STABLE_SLICES and max(last) <= (1 + STABLE_SPREAD) * min(last):
            return {"slices": len(medians), "stable": True}
    return {"slices": len(medians), "stable": False}


def ratio(own: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Divide ``own`` by ``other`` pair by pair; return the median with the 10th and 90th percentile.

    >>> ratio([1.0, 3.0, 2.0], [2.0, 2.0, 2.0])
    {'low': 0.6, 'value': 1.0, 'high': 1.4}
    """
    pairs = np.asarray(own, dtype=np.float64) / np.asarray(other, dtype=np.float64)
    low, value, high = (float(found) for found in np.percentile(pairs, SPREAD).round(4))
    return {"low": low, "value": value, "high": high}


def medians(rounds: Sequence[np.ndarray]) -> list[float]:
    """Return the median of each round, in milliseconds."""
    return [float(np.median(calls)) / 1e6 for calls in rounds]
