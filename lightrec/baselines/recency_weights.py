"""How much each event of a history counts in the closed-form baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST = 1e-7
"""Events that weigh less than this, next to the last one's 1, are not looked at: single precision would lose them."""


def recent(history: np.ndarray, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """The items of ``history`` that count, and their weights float32: 1 for the last, ``decay`` for the one before it.

    >>> recent(np.array([7, 8, 9]), 0.5)
    (array([7, 8, 9]), array([0.25, 0.5 , 1.  ], dtype=float32))
    >>> len(recent(np.arange(1000), 0.5)[0])
    24
    """
    if 0 < decay < 1:
        history = history[-1 - int(math.log(LEAST) / math.log(decay)) :]
    return history, (decay ** np.arange(len(history))[::-1]).astype(np.float32)


class LinearScorer:
    """A scorer whose answer is the history's rows of an item-item matrix, summed by :func:`recent`'s weights."""

    parameters: dict[str, float]
    """Among them ``decay``."""
    weights: np.ndarray
    """float32 ``[N, N]``."""

    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """See :meth:`lightrec.evaluation.protocol.Scorer.score`."""
        return np.stack([self._score(history) for history in histories])

    def _score(self, history: np.ndarray) -> np.ndarray:
        items, by_age = recent(history, self.parameters["decay"])
        return by_age @ self.weights[items]
