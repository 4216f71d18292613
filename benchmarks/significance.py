"""Decide whether two sets of timings differ by more than their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z = 2.5758
"""Standard deviations of a 99% interval, so that a page of comparisons hardly ever shows a false change."""

MIN_ROUNDS = 5
"""The minimum number of rounds per side; with fewer, no difference is significant."""


def shift(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float] | None:
    """Return how many times larger ``after`` is, the median of all ratios, with its 99% interval.

    This is Hodges and Lehmann's estimate of a shift, on ratios; the interval is that of the Mann-Whitney test, by its
    normal approximation. Outliers do not move it. None with fewer than :data:`MIN_ROUNDS` values on a side.

    >>> shift([1.0, 2.0, 4.0], [1.0])
    >>> shift([1.0] * 5, [2.0] * 5)
    (2.0, 2.0, 2.0)
    """
    n, m = len(before), len(after)
    if min(n, m) < MIN_ROUNDS:
        return None
    ratios = np.sort(np.divide.outer(np.asarray(after), np.asarray(before)).ravel())
    outside = max(0, math.floor(n * m / 2 - Z * math.sqrt(n * m * (n + m + 1) / 12)))
    return float(np.median(ratios)), float(ratios[outside]), float(ratios[-1 - outside])
