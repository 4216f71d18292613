"""Summarise timed calls: percentiles such as p99, histograms, throughput, and speed-ups round by round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightrec.benchmarks.row_types import Histogram, Latency, Speedup
from lightrec.benchmarks.workers.worker_protocol import time_calls

__all__ = ["PERCENTILES", "histogram", "median_interval", "per_second", "speedup", "summarise", "time_calls"]

PERCENTILES = (50, 90, 99)

PER_DECADE = 20
"""Bars of a histogram for each factor of ten."""

MIN_SPEEDUP_DIFFERENCE = 0.03
"""The smallest difference of a speed-up from 1 that counts: two processes of the same variant differ by as much."""


def summarise(rounds: Sequence[np.ndarray]) -> Latency:
    """Summarise single calls in milliseconds: count, mean, min, percentiles, and the median of each round.

    >>> summarise([np.array([1_000_000, 3_000_000])])["p50"]
    2.0
    """
    every = np.concatenate(rounds) / 1e6
    p50, p90, p99, p999 = map(float, np.percentile(every, (*PERCENTILES, 99.9)))
    return {
        "count": len(every),
        "mean": float(every.mean()),
        "min": float(every.min()),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "p999": p999,
        "round_medians": [float(np.median(calls)) / 1e6 for calls in rounds],
    }


def histogram(rounds: Sequence[np.ndarray]) -> Histogram:
    """Count the calls between fixed edges in milliseconds; every call is counted.

    The edges are ``10 ** (i / 20)``, so that a bar is 12 % wide.

    >>> histogram([np.array([1_000_000, 1_050_000, 1_200_000])])["counts"]
    [2, 1]
    """
    every = np.concatenate(rounds)
    places = np.floor(np.log10(np.maximum(every, 1) / 1e6) * PER_DECADE + 1e-9).astype(int)
    first, last = int(places.min()), int(places.max())
    edges = [float(f"{10 ** (place / PER_DECADE):.6g}") for place in range(first, last + 2)]
    return {"edges_ms": edges, "counts": np.bincount(places - first).tolist()}


def per_second(rounds: Sequence[np.ndarray], batch: int) -> float:
    """Return the histories per second of calls with ``batch`` histories each.

    >>> per_second([np.array([2_000_000, 2_000_000])], batch=32)
    16000.0
    """
    every = np.concatenate(rounds)
    return float(batch * len(every) / (every.sum() / 1e9))


def speedup(first: Sequence[np.ndarray], own: Sequence[np.ndarray]) -> Speedup:
    """Compute how many times as fast as the first variant a variant is, round by round.

    Returns:
        ``value``, the median of the ratios, with their quartiles ``low`` and ``high``; ``interval``, the 95 %
        confidence interval of the median; ``differs``, whether the whole interval is further from 1 than
        :data:`MIN_SPEEDUP_DIFFERENCE`.

    >>> found = speedup([np.array([6]), np.array([8])], [np.array([2]), np.array([2])])
    >>> found["low"], found["value"], found["high"]
    (3.25, 3.5, 3.75)
    """
    ratios = [np.median(theirs) / np.median(ours) for theirs, ours in zip(first, own, strict=True)]
    low, value, high = (float(found) for found in np.percentile(ratios, (25, 50, 75)))
    interval = median_interval(ratios)
    differs = interval[0] > 1 + MIN_SPEEDUP_DIFFERENCE or interval[1] < 1 - MIN_SPEEDUP_DIFFERENCE
    return {"value": value, "low": low, "high": high, "interval": interval, "differs": differs}


def median_interval(values: Sequence[float]) -> list[float]:
    """Return a distribution-free 95 % confidence interval of the median.

    Order statistics: the median lies outside the ``i``-th smallest and largest with the chance that a fair coin shows
    fewer than ``i`` heads, twice. With fewer than six values there are no such two, and the outermost are returned.

    >>> median_interval([5, 1, 4, 2, 3, 9, 8, 6, 7, 10])
    [2.0, 9.0]
    """
    count, chance, below, skip = len(values), 1.0, 0.0, -1
    for heads in range(count // 2 + 1):
        below += chance / 2**count
        if 2 * below > 0.05:
            break
        skip, chance = heads, chance * (count - heads) / (heads + 1)
    ordered, place = np.sort(np.asarray(values, dtype=np.float64)), max(skip, 0)
    return [float(ordered[place]), float(ordered[count - 1 - place])]
