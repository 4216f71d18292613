"""Numbers added to the scores of some items before they are ranked.

The answer is that of adding them to the scores of the whole catalogue and ranking it anew, though these scores are
never made. Among the best k + b of the model, b being the number of boosted items, there are k that nobody boosts, or
all that remain. So of the items outside only those with a positive boost can come among the best k, and only these are
scored apart, by the graph for few candidates where the bundle has one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.errors import DataError
from lightrec.runtime.arguments import finite, item_id, shown

if TYPE_CHECKING:
    from lightrec.runtime.requests import Ranking, Request

Rank = Callable[[Sequence["Request"], int], list["Ranking"]]
"""What ranks requests without looking at their boosts."""


def boosted_rankings(rank: Rank, requests: Sequence[Request], k: int) -> list[Ranking]:
    """:meth:`Recommender.rank` for requests with boosts; what popularity answers has no score and is not boosted."""
    more = max(len(request.boosts) for request in requests)
    rankings = rank(requests, k + more)
    return [
        _boosted(rank, request, ranking, k, complete=len(ranking[0]) < k + more)
        for request, ranking in zip(requests, rankings, strict=True)
    ]


def read_boosts(boost: Mapping[Any, float]) -> tuple[list[str], list[float]]:
    """Ids and numbers of a caller's mapping.

    Raises:
        DataError: if it is no mapping, a key is no id or stands there twice, or a number is none or not finite.
    """
    if not isinstance(boost, Mapping):
        raise DataError(f"boost is {shown(boost)}: give a mapping of item ids to numbers, such as {{'50': 0.7}}.")
    amounts: dict[str, float] = {}
    for item, given in boost.items():
        name, amount = item_id(item, "boost"), finite(given)
        if amount is None:
            raise DataError(f"The boost of item {name!r} is {shown(given)}: give a finite number.")
        if name in amounts:
            raise DataError(f"boost holds item {name!r} twice, as a number and as text: leave one out.")
        amounts[name] = amount
    return list(amounts), list(amounts.values())


def _boosted(rank: Rank, request: Request, ranking: Ranking, k: int, complete: bool) -> Ranking:
    items, scores = ranking
    if not len(request.history):
        return items[:k], scores[:k]
    # Scores of items are never None where there is a history.
    places, values = items, np.array(scores, dtype=np.float64)
    if not complete and len(outside := _raised_outside(request, places)):
        found, theirs = rank([dataclasses.replace(request, candidates=outside)], len(outside))[0]
        places = np.concatenate([places, found])
        values = np.concatenate([values, np.array(theirs, dtype=np.float64)])
    values += np.array([request.boosts.get(item, 0.0) for item in places.tolist()])
    best = np.lexsort((places, -values))[:k]  # of equal scores the lower index first
    return places[best], values[best].tolist()


def _raised_outside(request: Request, items: np.ndarray) -> np.ndarray:
    """The items with a positive boost that are not among ``items`` and may be returned, by index."""
    raised = np.array([item for item, amount in request.boosts.items() if amount > 0], dtype=np.int64)
    outside = np.setdiff1d(raised, items)
    return outside if request.candidates is None else np.intersect1d(outside, request.candidates)
