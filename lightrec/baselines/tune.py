"""Tune a baseline on the validation cases, with no more trials than a student has."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lightrec.baselines.baselines import Baseline, make_baseline
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Split
from lightrec.evaluation.protocol import evaluate

GRIDS: dict[str, dict[str, Sequence[float]]] = {
    "recent-popularity": {"window": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)},
    "item-knn": {
        "decay": (0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        "shrinkage": (0, 3, 10, 30, 100),
        "neighbours": (30, 100, 300),
    },
    "ease": {
        "regularization": (30, 100, 300, 1000, 3000),
        "decay": (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0),
    },
    "slit": {
        "fitting_decay": (0.5, 0.8, 0.95),
        "regularization": (10, 100, 1000),
        "decay": (0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
    },
}
"""The values tried for each parameter, one parameter after the other."""

MOST_SETTINGS = 15
"""The budget: neither a grid above nor a search for a student's hyper-parameters has more evaluations."""

MOST_CASES = 5000
"""Most validation cases used, drawn at random if there are more."""


def tune_baseline(
    name: str,
    dataset: Dataset,
    split: Split,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Baseline, list[dict[str, Any]]]:
    """Fit the baseline ``name`` with the parameters of :data:`GRIDS` that rank the validation targets best.

    The search starts from the defaults and sets one parameter after the other to its best value (one round of
    coordinate descent). Of equally good settings the first wins. Popularity has no parameter to tune.

    Args:
        name, dataset, split: see :func:`~lightrec.baselines.baselines.make_baseline`; test cases are not used.
        seed: draws the validation cases if there are more than :data:`MOST_CASES`.
        progress: called after each setting with the number of settings tried and the total.

    Returns:
        The fitted baseline, and one row per setting tried: ``parameters`` and validation ``ndcg@10``.
    """
    grid = GRIDS.get(name, {})
    total = sum(len(values) for values in grid.values()) - max(0, len(grid) - 1)
    cases = split.validation
    if len(cases) > MOST_CASES:
        cases = cases.take(np.sort(np.random.default_rng(seed).choice(len(cases), MOST_CASES, replace=False)))
    baseline = make_baseline(name, dataset, split)
    best = dict(baseline.parameters)
    tried: list[dict[str, Any]] = []

    def attempt(parameters: dict[str, float]) -> float:
        nonlocal baseline
        found = next((row["ndcg@10"] for row in tried if row["parameters"] == parameters), None)
        if found is None:
            baseline = _refit(baseline, parameters, name, dataset, split)
            result = evaluate(baseline, cases, train_popularity=split.popularity(), ks=(10,), bootstrap=0)
            found = result.metrics["ndcg@10"].value
            tried.append({"parameters": parameters, "ndcg@10": found})
            if progress is not None:
                progress(len(tried), max(total, len(tried)))
        return found

    attempt(best)
    for parameter, values in grid.items():
        best = max(({**best, parameter: value} for value in (best[parameter], *values)), key=attempt)
    return _refit(baseline, best, name, dataset, split), tried


def _refit(baseline: Baseline, parameters: dict[str, float], name: str, dataset: Dataset, split: Split) -> Baseline:
    """Return a baseline with ``parameters``; if only the decay differs, it shares the fitted matrices."""
    if {**baseline.parameters, "decay": None} == {**parameters, "decay": None}:
        baseline = copy.copy(baseline)
        baseline.parameters = parameters
        return baseline
    return make_baseline(name, dataset, split, **parameters)
