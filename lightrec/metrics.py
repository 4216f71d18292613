"""Ranking metrics for one relevant item per case (HR, NDCG, MRR), catalogue coverage and overlap of two lists.

A *rank* is the position of the true next item, 1 for the first. A miss (the item is not ranked at all) has the rank
infinity, for which every formula below gives zero without a special case. The functions of ranks return one value per
case; the metric of a model is their mean.
"""

from __future__ import annotations

import numpy as np


def hit_rate(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return HR@k of each case: 1 if rank <= k, else 0. With one relevant item it equals recall@k.

    Args:
        ranks: ``[C]``, 1 and up; infinity for a miss.
        k: length of the list shown, at least 1.

    Returns:
        float64 ``[C]``.

    >>> hit_rate(np.array([1, 10, 11, np.inf]), k=10)
    array([1., 1., 0., 0.])
    """
    return (_checked(ranks) <= _positive(k)).astype(np.float64)


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return NDCG@k of each case: 1 / log2(rank + 1) if rank <= k, else 0.

    This is the normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) with one relevant item, so the
    ideal gain is 1 / log2(2) = 1.

    Args:
        ranks: ``[C]``, 1 and up; infinity for a miss.
        k: length of the list shown, at least 1.

    Returns:
        float64 ``[C]``.

    >>> ndcg(np.array([1, 3, 4, np.inf]), k=3)
    array([1. , 0.5, 0. , 0. ])
    """
    return hit_rate(ranks, k) / np.log2(np.asarray(ranks, dtype=np.float64) + 1)


def reciprocal_rank(ranks: np.ndarray, k: int | None = None) -> np.ndarray:
    """Return the reciprocal rank of each case, 1 / rank, or 0 beyond ``k``; its mean is MRR, or MRR@k.

    Args:
        ranks: ``[C]``, 1 and up; infinity for a miss.
        k: length of the list; None for the whole catalogue.

    Returns:
        float64 ``[C]``.

    >>> reciprocal_rank(np.array([1, 4, 8, np.inf]))
    array([1.   , 0.25 , 0.125, 0.   ])
    >>> reciprocal_rank(np.array([1, 4, 8, np.inf]), k=4)
    array([1.  , 0.25, 0.  , 0.  ])
    """
    reciprocal = 1 / _checked(ranks)
    return reciprocal if k is None else reciprocal * hit_rate(ranks, k)


def coverage(lists: np.ndarray, n_items: int) -> float:
    """Return coverage@k: the share of the catalogue that occurs in at least one of the lists.

    Args:
        lists: integers ``[C, k]``, the items shown in each case; -1 for no item.
        n_items: number of items in the catalogue, N.

    >>> coverage(np.array([[0, 1], [0, 2], [0, -1]]), n_items=4)
    0.75
    """
    shown = np.unique(lists)
    return int(np.count_nonzero(shown >= 0)) / n_items


def overlap(wanted: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the share of each row of ``wanted`` that is in the same row of ``shown``; 1 if the row wants no item.

    Args:
        wanted: item indices ``[C, K]``, -1 for no item.
        shown: item indices ``[C, J]``, -1 for no item.

    Returns:
        float64 ``[C]``.

    >>> overlap(np.array([[1, 2], [3, -1], [-1, -1]]), np.array([[2, 5], [3, 4], [6, 7]]))
    array([0.5, 1. , 1. ])
    """
    real = wanted >= 0
    found = ((wanted[:, :, None] == shown[:, None, :]).any(axis=2) & real).sum(axis=1)
    count = real.sum(axis=1)
    return np.where(count > 0, found / np.maximum(count, 1), 1.0)


def _checked(ranks: np.ndarray) -> np.ndarray:
    ranks = np.asarray(ranks, dtype=np.float64)
    if not np.all(ranks >= 1):
        raise ValueError("Ranks start at 1, and a miss is infinity; these hold a smaller value or NaN.")
    return ranks


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k is {k}: a list holds at least one item.")
    return k
