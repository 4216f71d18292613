"""Measure the quality of what was timed: NDCG@10, overlap with the first variant, and wrong items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lightrec.benchmarks.harness.workload import Workload
from lightrec.benchmarks.row_types import NewRow
from lightrec.evaluation.protocol import RANK_LIMIT, Scorer, TopKRanker, evaluate
from lightrec.metrics import overlap

MIN_OVERLAP = 0.9
"""A variant that shows a smaller share of the first one's top 10 has wrong items."""


class StoredRankings:
    """Rankings that a worker wrote, read case by case as a :class:`~lightrec.evaluation.protocol.TopKRanker`."""

    def __init__(self, lists: np.ndarray, n_items: int):
        self.lists, self.n_items, self.k_limit = lists, n_items, lists.shape[1]
        self._next = 0

    def top_k(self, histories: Sequence[np.ndarray], k: int, filter_seen: bool) -> np.ndarray:
        """Return the rankings of the next cases."""
        begin, self._next = self._next, self._next + len(histories)
        return self.lists[begin : self._next, :k]


def rank_limit(k_limit: int, n_items: int) -> int:
    """Return how many items the workers rank."""
    return min(RANK_LIMIT, k_limit, n_items)


def agreement(
    lists: np.ndarray, reference: np.ndarray, over: str, golden: str | None, k: int, same_student: bool = True
) -> NewRow:
    """Measure how much of the reference's top ``k`` a variant shows, and decide whether its items are wrong.

    Args:
        lists: rankings int64 ``[C, at least k]`` of the variant.
        reference: rankings of the first variant.
        over: the first variant's name.
        golden: what is wrong with the answers to the golden cases, None for nothing.
        k: how many items of each ranking are compared.
        same_student: whether the reference was exported from the same model; another model may rank other items.
    """
    shared = float(overlap(lists[:, :k], reference[:, :k]).mean())
    reasons = []
    if golden is not None:
        reasons.append(f"its answer to a golden case has {golden}")
    if same_student and shared < MIN_OVERLAP:
        reasons.append(f"it shares {shared:.0%} of its top {k} with {over}".replace("%", " %"))
    return {
        "over": over,
        "cases": len(lists),
        f"overlap@{k}": shared,
        "golden": golden,
        "wrong_items": bool(reasons),
        "flag": f"It returns other items: {' and '.join(reasons)}." if reasons else None,
    }


def quality(lists: np.ndarray, workload: Workload, n_items: int, k: int, seed: int) -> NewRow | None:
    """Return NDCG and HR of rankings of the workload's cases; None for synthetic histories."""
    return measured(StoredRankings(lists, n_items), workload, k, seed)


def measured(ranker: Scorer | TopKRanker, workload: Workload, k: int, seed: int, **rules: Any) -> NewRow | None:
    """Return NDCG and HR of a ranker on the workload's cases; ``rules`` are passed to :func:`evaluate`."""
    if workload.cases is None or workload.popularity is None:
        return None
    options: NewRow = {"train_popularity": workload.popularity, "ks": (k,), "seed": seed, **rules}
    found = evaluate(ranker, workload.cases, **options)
    values: NewRow = {name: found.metrics[name].to_json() for name in (f"ndcg@{k}", f"hr@{k}")}
    return {"cases": len(workload.cases), "ties": found.ties, **values}


def compared(own: NewRow | None, first: NewRow | None, shared: NewRow, k: int) -> NewRow | None:
    """Add to ``own`` its loss of NDCG from ``first``, and what :func:`agreement` found."""
    if own is None or first is None:
        return None
    reference = first[f"ndcg@{k}"]["value"]
    return own | {
        "compared_with": shared["over"],
        # Relative: 0.01 is a loss of one per cent. If the reference has no hit, nothing can be lost.
        "ndcg_drop": 1 - own[f"ndcg@{k}"]["value"] / reference if reference else None,
        f"overlap@{k}": shared[f"overlap@{k}"],
        "wrong_items": shared["wrong_items"],
    }
