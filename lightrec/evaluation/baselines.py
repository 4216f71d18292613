"""Baselines without training in the usual sense; every one is a Scorer and learns from the training events alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightrec.data.splits import Split


class Popularity:
    """Every user is shown the items with the most training events."""

    def __init__(self, split: Split):
        self.n_items = split.n_items
        self._scores = split.popularity().astype(np.float32)

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """The same scores for every history: float32 ``[B, N]``, a read-only view."""
        return np.broadcast_to(self._scores, (len(histories), self.n_items))
