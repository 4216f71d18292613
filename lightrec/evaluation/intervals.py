"""Bootstrap intervals over users, and the resampling that paired comparisons use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

LEVEL = 0.95
"""Share of the resamples within an interval."""

CHUNK = 8_000_000
"""Most resampling weights in memory at once."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure and the 95 % interval around it; ``low`` and ``high`` are None if no interval was requested."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Return ``{"value": ..., "low": ..., "high": ...}``."""
        return dataclasses.asdict(self)


def bootstrap_means(values: np.ndarray, users: np.ndarray, resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """Return the mean over cases of each column of ``values``, with its percentile-bootstrap interval over users.

    Users are drawn with replacement, each with all their cases (a cluster bootstrap): a user's cases resemble each
    other, so drawing single cases would make the intervals too narrow.

    Args:
        values: float ``[C, M]``, M metrics per case.
        users: int ``[C]``, the user of each case.
        resamples: number of bootstrap samples; 0 gives the means alone.
        seed: makes the resamples repeatable.

    Returns:
        M intervals.
    """
    means = values.mean(axis=0)
    if resamples == 0:
        return [Interval(float(mean)) for mean in means]
    sums, counts = sums_by_user(values, users)
    drawn = np.concatenate([(w @ sums) / (w @ counts)[:, None] for w in user_weights(len(counts), resamples, seed)])
    return [interval_of(mean, column) for mean, column in zip(means, drawn.T, strict=True)]


def interval_of(value: float, drawn: np.ndarray) -> Interval:
    """Return ``value`` with the interval of the central :data:`LEVEL` share of the resampled values ``drawn [R]``."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def sums_by_user(values: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of ``values [C, M]`` over each user's cases, ``[U, M]``, and the number of cases, ``[U]``."""
    _, owner = np.unique(users, return_inverse=True)
    counts = np.bincount(owner)
    sums = np.stack([np.bincount(owner, weights=column, minlength=len(counts)) for column in values.T], axis=1)
    return sums, counts.astype(np.float64)


def user_weights(n_users: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each user is drawn: float64 ``[r, n_users]`` at a time, ``resamples`` rows in all."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // n_users)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(n_users, size=(rows, n_users)) + n_users * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_users).reshape(rows, n_users).astype(np.float64)
