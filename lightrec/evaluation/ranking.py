"""From scores to ranks: the seen filter, the rank of the target under a tie rule, the best items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Ties = Literal["pessimistic", "lowest-index"]
"""The order of items with equal scores: the target last, or the item with the lowest index first."""


def hide(scores: np.ndarray, histories: Sequence[np.ndarray]) -> None:
    """Set the scores ``[B, N]`` of the items in each row's history to minus infinity, in place."""
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    scores[rows, np.concatenate(histories)] = -np.inf


def target_ranks(scores: np.ndarray, targets: np.ndarray, ties: Ties = "pessimistic") -> np.ndarray:
    """Return the rank of each row's target among all items of its row.

    With ``pessimistic``, the rank is 1 + the number of other items with at least the target's score. With
    ``lowest-index``, items with an equal score count only if their index is lower, which is the order of an exported
    graph. An item scored minus infinity is never recommended: as the target it is a miss.

    Args:
        scores: float ``[B, N]`` without NaN; hidden items are minus infinity.
        targets: int ``[B]``.
        ties: the tie rule.

    Returns:
        float64 ``[B]``, 1 and up, infinity for a miss.

    >>> scores = np.array([[0.5, 0.9, 0.5, 0.1]])
    >>> target_ranks(scores, np.array([0])), target_ranks(scores, np.array([0]), ties="lowest-index")
    (array([3.]), array([2.]))
    """
    own = scores[np.arange(len(scores)), targets][:, None]
    if ties == "pessimistic":
        ranks = np.count_nonzero(scores >= own, axis=1)  # the target itself is the 1
    else:
        level = scores == own
        level &= np.arange(scores.shape[1]) <= targets[:, None]
        ranks = np.count_nonzero(scores > own, axis=1) + np.count_nonzero(level, axis=1)
    return np.where(own[:, 0] == -np.inf, np.inf, ranks)


def best_items(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` best items of each row, best first, equal scores by lowest index.

    Args:
        scores: float ``[B, N]`` without NaN; items at minus infinity are never returned.
        k: number of items; if it exceeds N, the columns after the first N are -1.

    Returns:
        int64 ``[B, k]``, -1 where a row has fewer.

    >>> best_items(np.array([[0.5, 0.9, 0.5, -np.inf]]), k=4)
    array([[ 1,  0,  2, -1]])
    """
    n_items = scores.shape[1]
    width = min(k, n_items)
    threshold = np.partition(scores, n_items - width, axis=1)[:, n_items - width, None]
    # At least ``width`` candidates per row, by rising index; more only if several scores equal the threshold.
    rows, items = np.divmod(np.flatnonzero(scores >= threshold), n_items)
    values = scores[rows, items]
    order = np.lexsort((-values, rows))  # stable: equal scores keep their order
    places = np.arange(len(order)) - np.searchsorted(rows, rows)
    shown = (places < width) & (values[order] > -np.inf)
    best = np.full((len(scores), k), -1, dtype=np.int64)
    best[rows[shown], places[shown]] = items[order][shown]
    return best


def ranks_in_lists(lists: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the rank of each target in its list ``[B, k]``: float64 ``[B]``, infinity where it does not occur.

    >>> ranks_in_lists(np.array([[4, 2, 7], [1, 0, -1]]), np.array([7, 3]))
    array([ 3., inf])
    """
    found = lists == targets[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)
