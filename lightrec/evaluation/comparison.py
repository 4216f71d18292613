"""Comparison of two models on the same cases, paired by user."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightrec.errors import ConfigError
from lightrec.evaluation.intervals import Interval, interval_of, sums_by_user, user_weights
from lightrec.evaluation.protocol import Evaluation, case_metrics


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How much better ``a`` is than ``b`` on one metric."""

    metric: str
    """The name of the metric, as in :attr:`Evaluation.metrics`."""
    a: float
    """The mean of a, over cases and seeds."""
    b: float
    """The mean of b."""
    difference: Interval
    """a - b."""
    relative: Interval | None
    """(a - b) / b; None where b is zero."""
    p_value: float
    """Two-sided: twice the share of resamples in which the difference changes sign; at least 2 / (resamples + 1)."""
    users: int
    """Number of users that were resampled."""
    seeds: tuple[int, int]
    """Number of runs of a and of b."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return dataclasses.asdict(self)


def paired_comparison(
    a: Evaluation | Sequence[Evaluation],
    b: Evaluation | Sequence[Evaluation],
    metric: str,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same cases by a paired bootstrap over users, and over seeds if there are several.

    Each resample draws users with replacement, the same for both sides, and for each side as many runs as it has.
    With one run per side, the result holds for these two runs; with several, it holds for the two ways of training.
    With few seeds the intervals are a little too narrow, as in every bootstrap of a handful of values.

    Args:
        a: one evaluation, or one for each seed.
        b: the evaluation or evaluations to compare with.
        metric: any metric of the evaluations that is a mean over cases, for example ``ndcg@10``.
        resamples: number of bootstrap samples.
        seed: makes the samples repeatable.

    Raises:
        ConfigError: if the evaluations have different cases or rules, or lack the metric.
    """
    sides = [[side] if isinstance(side, Evaluation) else list(side) for side in (a, b)]
    _check(sides[0] + sides[1], metric)
    values = [np.stack([_values(run, metric) for run in side], axis=1) for side in sides]
    means = [float(value.mean()) for value in values]
    by_user = [sums_by_user(value, sides[0][0].cases.users) for value in values]
    drawn = [np.empty(resamples), np.empty(resamples)]
    runs = np.random.default_rng([seed, 1])
    n_users, start = len(by_user[0][1]), 0
    for weights in user_weights(n_users, resamples, seed):
        rows = slice(start, start + len(weights))
        for side, (sums, counts) in enumerate(by_user):
            resampled = (weights @ sums) / (weights @ counts)[:, None]
            chosen = runs.integers(resampled.shape[1], size=resampled.shape)
            drawn[side][rows] = np.take_along_axis(resampled, chosen, axis=1).mean(axis=1)
        start += len(weights)
    return Comparison(
        metric=metric,
        a=means[0],
        b=means[1],
        difference=interval_of(means[0] - means[1], drawn[0] - drawn[1]),
        relative=_relative(means, drawn),
        p_value=_p_value(drawn[0] - drawn[1]),
        users=n_users,
        seeds=(len(sides[0]), len(sides[1])),
    )


def _values(run: Evaluation, metric: str) -> np.ndarray:
    return case_metrics(run.ranks, run.ks, run.rank_limit)[metric]


def _relative(means: list[float], drawn: list[np.ndarray]) -> Interval | None:
    if means[1] == 0 or (drawn[1] == 0).any():
        return None
    return interval_of(means[0] / means[1] - 1, drawn[0] / drawn[1] - 1)


def _p_value(differences: np.ndarray) -> float:
    fewer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (1 + int(fewer)) / (1 + len(differences)))


def _check(runs: list[Evaluation], metric: str) -> None:
    first = runs[0]
    for run in runs:
        same_cases = all(
            np.array_equal(getattr(run.cases, part), getattr(first.cases, part))
            for part in ("users", "ends", "targets")
        )
        if not same_cases:
            raise ConfigError("The two evaluations do not ask the same cases: use the same data, split and targets.")
        if (run.ties, run.filter_seen) != (first.ties, first.filter_seen):
            raise ConfigError(
                "The two evaluations follow different rules: use the same tie rule and the same seen filter for both."
            )
        known = case_metrics(run.ranks, run.ks, run.rank_limit)
        if metric not in known:
            raise ConfigError(f"{metric} cannot be compared case by case: choose one of {', '.join(known)}.")
