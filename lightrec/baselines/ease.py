"""EASE: a linear item-item model in closed form (Steck, arXiv 1905.03375)."""

from __future__ import annotations

import numpy as np

from lightrec.baselines.cholesky import inverse_in_place
from lightrec.baselines.co_occurrence import co_occurrences
from lightrec.baselines.recency_weights import LinearScorer
from lightrec.data.splits import Split
from lightrec.errors import ConfigError

MOST_ITEMS = 30_000
"""Largest catalogue. One float32 ``[N, N]`` matrix is in memory (three without torch): 0.6 GB for 12,000 items, 3.6 GB
for 30,000; tuning needs a second. One inversion takes about a minute on one core for 12,000 items (three without
torch), and eight times as long for twice as many."""


class Ease(LinearScorer):
    """Baseline that predicts each item from the others by ridge regression, with recency weights.

    With X the binary user-item matrix of the training events, ``B`` minimises ``||X - X B||² + regularization ||B||²``
    under ``diag(B) = 0``: ``B = I - P / diag(P)`` column by column, where ``P = (XᵀX + regularization I)⁻¹``. The
    paper scores a set of items. To predict the next item, the history's events have the recency weights of
    :class:`~lightrec.baselines.baselines.ItemKnn`: 1 for the last, ``decay`` for the one before, then ``decay ** 2``.

    Args:
        split: its training events are counted.
        regularization: the ridge penalty, in users.
        decay: weight of each event relative to the next, at most 1; 1 ignores the order, as in the paper.

    Raises:
        ConfigError: if the catalogue has more than :data:`MOST_ITEMS` items.
    """

    def __init__(self, split: Split, regularization: float = 300.0, decay: float = 0.9):
        if split.n_items > MOST_ITEMS:
            raise ConfigError(
                f"EASE inverts a matrix of items by items, and {split.n_items:,} items would take "
                f"{4 * split.n_items**2 / 1e9:.0f} GB (its limit is {MOST_ITEMS:,} items): use the baseline item-knn."
            )
        self.n_items = split.n_items
        self.parameters = {"regularization": regularization, "decay": decay}
        gram = np.empty((split.n_items, split.n_items), dtype=np.float32)
        for first, shared in co_occurrences(split):
            gram[first : first + len(shared)] = shared
        gram[np.diag_indices(split.n_items)] += regularization
        self.weights = inverse_in_place(gram)
        self.weights /= -np.diag(self.weights)
        np.fill_diagonal(self.weights, 0)
