"""What a request is in item indices, and what an answer is in ids: the values that pass between the steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Recommendation(NamedTuple):
    """One recommended item."""

    id: str
    """The item's own id."""
    score: float | None
    """The model's score (a logit: comparable within one answer); None where popularity answered."""
    title: str | None
    """The item's title, if the bundle has one."""


class Recommendations(list[Recommendation]):
    """An answer: a list of :class:`Recommendation`, best first, and what there is to know about it."""

    def __init__(self, items: Iterable[Recommendation] = (), unknown: Iterable[str] = (), fallback: bool = False):
        super().__init__(items)
        self.unknown: tuple[str, ...] = tuple(unknown)
        """Ids among history, exclude, candidates and boosts that the bundle does not know; they were skipped."""
        self.fallback = fallback
        """True if the history held no known item, so that the most popular items are returned."""


@dataclasses.dataclass(slots=True)
class Request:
    """One user's request in item indices."""

    history: np.ndarray
    """int64, oldest first; all of it, also what the model does not read."""
    exclude: np.ndarray
    """int64, further items never to return."""
    candidates: np.ndarray | None = None
    """int64, the only items that may be returned; None for all."""
    unknown: tuple[str, ...] = ()
    """Ids that the bundle does not know."""
    boosts: Mapping[int, float] = dataclasses.field(default_factory=dict)
    """What is added to the scores of some items."""


Ranking = tuple[np.ndarray, Sequence[float | None]]
"""Item indices, best first, and their scores."""

NOTHING = np.empty(0, dtype=np.int64)


def rankings(items: np.ndarray, scores: np.ndarray) -> Iterator[Ranking]:
    """The rows of a graph's answer without the items -1 that fill them up."""
    for row, row_scores in zip(items, scores, strict=True):
        if row.size and row[-1] < 0:
            real = row >= 0
            row, row_scores = row[real], row_scores[real]
        yield row, row_scores.tolist()


def all_finite(scores: Sequence[float]) -> bool:
    """Whether all of them are; the sum is fast, and too large where large boosts were added."""
    return math.isfinite(sum(scores)) or all(map(math.isfinite, scores))
