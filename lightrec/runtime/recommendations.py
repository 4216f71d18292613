"""Recommendations: a ranking of item indices with the items' ids and titles looked up in the catalogue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lightrec.bundle import Catalogue
from lightrec.errors import BundleError
from lightrec.runtime.backends.failures import wrong_answer
from lightrec.runtime.requests import Ranking, Request


class Recommendation(NamedTuple):
    """One recommended item."""

    id: str
    """The item's id."""
    score: float | None
    """The model's score, a logit, comparable only within one answer; None if popularity ranked the items."""
    title: str | None
    """The item's title, if the bundle has one."""


class Recommendations(list[Recommendation]):
    """A list of :class:`Recommendation`, best first, with the unknown ids and whether popularity ranked the items."""

    def __init__(self, items: Iterable[Recommendation] = (), unknown: Iterable[str] = (), fallback: bool = False):
        super().__init__(items)
        self.unknown: tuple[str, ...] = tuple(unknown)
        """Ids among history, exclude, candidates and boosts that the bundle does not know; they were skipped."""
        self.fallback = fallback
        """True if the history held no known item, so that these are the most popular items."""


def look_up_recommendations(
    ranking: Ranking, request: Request, catalogue: Catalogue, model_file: str
) -> Recommendations:
    """Look up the ids and titles of a ranking.

    Args:
        ranking: the answer to ``request``.
        request: the request.
        catalogue: the bundle's items.
        model_file: the file that the message names if the ranking is impossible.

    Raises:
        BundleError: if the ranking or the catalogue is damaged.
    """
    items, scores = ranking
    indices = items.tolist()
    _require_sound(indices, scores, len(catalogue.popularity), model_file)
    item_ids, titles = catalogue.item_ids, catalogue.titles
    found_titles = [None] * len(indices) if titles is None else [titles[index] for index in indices]
    ids = [item_ids[index] for index in indices]
    # A large catalogue is mapped without being read, so damage is found only here.
    if len(set(ids)) != len(ids) or None in ids:
        raise BundleError("The bundle's catalogue has items of one id or of none: copy or export the bundle again.")
    return Recommendations(
        map(Recommendation, ids, scores, found_titles), request.unknown, fallback=not len(request.history)
    )


def _require_sound(indices: list[int], scores: Sequence[float | None], n_items: int, model_file: str) -> None:
    """Raise an error if a ranking has an item twice, an item outside the catalogue, or a score that is not finite.

    Only a damaged bundle causes this: its model, or the popularity of a large catalogue, which is mapped unread.
    """
    if not indices:
        return
    sound = min(indices) >= 0 and max(indices) < n_items and len(set(indices)) == len(indices)
    if not sound or not (scores[0] is None or _all_finite(scores)):  # type: ignore[arg-type]
        raise wrong_answer(Path(model_file), "items or scores that cannot be")


def _all_finite(scores: Sequence[float]) -> bool:
    """Return whether every score is finite.

    The sum is fast but can overflow if large boosts were added; each score is checked then.
    """
    return math.isfinite(sum(scores)) or all(map(math.isfinite, scores))
