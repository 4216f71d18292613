"""SLIT: a linear model from the items of a history to the next one, in closed form (Choi et al., arXiv 2103.16104)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightrec.baselines.cholesky import solve_in_place
from lightrec.baselines.recency_weights import LinearScorer
from lightrec.data.splits import Split
from lightrec.errors import ConfigError

MOST_ITEMS = 20_000
"""Largest catalogue. Two float32 ``[N, N]`` matrices are in memory (four without torch): 3.2 GB for 20,000 items."""
LEAST_WEIGHT = 1e-3
"""Earlier events with a weight below this are ignored."""
MOST_STEPS = 100
"""Events that are more than this many events earlier are ignored too."""


class Slit(LinearScorer):
    """Baseline that predicts the next item by ridge regression on the history, with recency weights.

    A training position t has the history ``x_t = sum_a decay^a e(item a + 1 events before)`` and the target ``y_t``,
    the item that follows. ``B`` minimises ``sum_t ||y_t - x_t B||² + regularization ||B||²``:
    ``B = (XᵀX + regularization I)⁻¹ XᵀY``, the transition half of the paper's SLIST with the next item alone as the
    future. EASE models which items share users; SLIT models which item follows which.

    Args:
        split: its training events are counted.
        regularization: the ridge penalty, in positions.
        fitting_decay: weight of each event relative to the next, at most 1, in the histories for fitting.
        decay: the same in the histories for scoring.

    Raises:
        ConfigError: if the catalogue has more than :data:`MOST_ITEMS` items.
    """

    def __init__(self, split: Split, regularization: float = 100.0, fitting_decay: float = 0.8, decay: float = 0.8):
        n_items = split.n_items
        if n_items > MOST_ITEMS:
            raise ConfigError(
                f"SLIT solves for a matrix of items by items, and {n_items:,} items would take "
                f"{8 * n_items**2 / 1e9:.0f} GB (its limit is {MOST_ITEMS:,} items): use the baseline item-knn."
            )
        self.n_items = n_items
        self.parameters = {"regularization": regularization, "fitting_decay": fitting_decay, "decay": decay}
        gram, cross = _moments(split, fitting_decay)
        gram[np.diag_indices(n_items)] += regularization
        self.weights = solve_in_place(gram, cross)
        """float32 ``[N, N]``: row i has the weights of item i of a history for each next item."""


def _moments(split: Split, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ``XᵀX`` and ``XᵀY``, float32 ``[N, N]``, summed over all training positions without building X.

    Consider two events of a user that are s events apart, with n events after the later one. They are together in the
    histories of n positions and add ``decay^s (1 + decay² + ... + decay^(2 (n - 1)))`` to ``XᵀX``. To ``XᵀY`` they add
    ``decay^(s - 1)``, once, with the later event as the target.
    """
    n_items = split.n_items
    behind = np.repeat(split.train_offsets[1:], np.diff(split.train_offsets)) - 1 - np.arange(len(split.train_items))
    times = behind.astype(np.float64) if decay == 1 else (1 - decay ** (2.0 * behind)) / (1 - decay**2)
    gram, cross = np.zeros(n_items**2, dtype=np.float32), np.zeros(n_items**2, dtype=np.float32)
    for apart, earlier, later in _pairs(split, decay):
        first, second = (split.train_items[events].astype(np.int64) for events in (earlier, later))
        weight = (decay**apart * times[later]).astype(np.float32)
        np.add.at(gram, first * n_items + second, weight)
        if apart:
            np.add.at(gram, second * n_items + first, weight)
            np.add.at(cross, first * n_items + second, np.float32(decay ** (apart - 1)))
    return gram.reshape(n_items, n_items), cross.reshape(n_items, n_items)


def _pairs(split: Split, decay: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each distance from 0 on, with all pairs of a user's events that far apart, as indices int64 ``[P]``."""
    users = np.repeat(np.arange(len(split.train_offsets) - 1), np.diff(split.train_offsets))
    for apart in range(MOST_STEPS + 1):
        earlier = np.flatnonzero(users[: len(users) - apart] == users[apart:])
        if decay**apart < LEAST_WEIGHT or not len(earlier):
            return
        yield apart, earlier, earlier + apart
