"""Boosts: numbers added to the scores of some items before they are ranked.

The result equals adding them to the scores of the whole catalogue and ranking it again, but those scores are never
computed. With b boosted items, the model's best k + b items include k without a boost, or all items that remain. So
among the items outside those k + b, only the ones with a positive boost can reach the best k. Only these are scored
separately, by the graph for few candidates if the bundle has one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from lightrec.runtime.requests import Ranking, Request

Rank = Callable[[Sequence[Request], int], list[Ranking]]
"""A function that ranks requests without their boosts."""


def boosted_rankings(rank: Rank, requests: Sequence[Request], k: int) -> list[Ranking]:
    """Rank requests with their boosts; items that popularity ranks have no score and are not boosted."""
    n_boosted = max(len(request.boosts) for request in requests)
    rankings = rank(requests, k + n_boosted)
    return [
        _boost(rank, request, ranking, k, complete=len(ranking[0]) < k + n_boosted)
        for request, ranking in zip(requests, rankings, strict=True)
    ]


def _boost(rank: Rank, request: Request, ranking: Ranking, k: int, complete: bool) -> Ranking:
    items, scores = ranking
    if not len(request.history):
        return items[:k], scores[:k]
    indices, values = items, np.array(scores, dtype=np.float64)  # with a history, no score is None
    if not complete and len(outside := _raised_outside(request, indices)):
        outside, outside_scores = rank([dataclasses.replace(request, candidates=outside)], len(outside))[0]
        indices = np.concatenate([indices, outside])
        values = np.concatenate([values, np.array(outside_scores, dtype=np.float64)])
    values += np.array([request.boosts.get(item, 0.0) for item in indices.tolist()])
    best = np.lexsort((indices, -values))[:k]  # at equal scores the lower index is first
    return indices[best], values[best].tolist()


def _raised_outside(request: Request, items: np.ndarray) -> np.ndarray:
    """Return the items int64 with a positive boost that are not among ``items`` and may be returned."""
    raised = np.array([item for item, amount in request.boosts.items() if amount > 0], dtype=np.int64)
    outside = np.setdiff1d(raised, items)
    return outside if request.candidates is None else np.intersect1d(outside, request.candidates)
