"""Recency weights of the events of a history in the closed-form baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST = 1e-7
"""Events with a weight below this are ignored: next to the last one's weight of 1, single precision would lose them."""


def recent(history: np.ndarray, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of ``history`` that count, and their float32 weights: 1 for the last, ``decay`` before it, etc.

    >>> recent(np.array([7, 8, 9]), 0.5)
    (array([7, 8, 9]), array([0.25, 0.5 , 1.  ], dtype=float32))
    >>> len(recent(np.arange(1000), 0.5)[0])
    24
    """
    if 0 < decay < 1:
        history = history[-1 - int(math.log(LEAST) / math.log(decay)) :]
    return history, (decay ** np.arange(len(history))[::-1]).astype(np.float32)


class LinearScorer:
    """A scorer that sums the history's rows of an item-item matrix with the weights of :func:`recent`."""

    parameters: dict[str, float]
    """Parameters of the scorer, among them ``decay``."""
    weights: np.ndarray
    """float32 ``[N, N]``: row i has the item-item weights of item i."""

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """See :meth:`lightrec.evaluation.protocol.Scorer.score`."""
        return np.stack([self._score(history) for history in histories])

    def _score(self, history: np.ndarray) -> np.ndarray:
        items, by_age = recent(history, self.parameters["decay"])
        return by_age @ self.weights[items]
