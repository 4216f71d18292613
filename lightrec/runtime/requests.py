"""Requests and rankings by item index: what the ranker takes and returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

NO_ITEMS = np.empty(0, dtype=np.int64)

Ranking = tuple[np.ndarray, Sequence[float | None]]
"""Item indices, best first, and their scores; the scores are None where popularity ranked the items."""


@dataclasses.dataclass(slots=True)
class Request:
    """One user's request by item index."""

    history: np.ndarray
    """int64, oldest first: the whole history, including items older than the model's window."""
    exclude: np.ndarray
    """int64, further items never to return."""
    candidates: np.ndarray | None = None
    """int64, the only items that may be returned; None for all."""
    unknown: tuple[str, ...] = ()
    """Ids that the bundle does not know."""
    boosts: Mapping[int, float] = dataclasses.field(default_factory=dict)
    """The number to add to an item's score, by item index."""
