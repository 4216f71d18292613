"""Read requests: look up a caller's ids, candidates, boosts and blocked items in the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lightrec.errors import DataError
from lightrec.runtime.arguments import id_list, read_boosts, unknown_sentence
from lightrec.runtime.loaded_bundle import LoadedBundle
from lightrec.runtime.requests import NO_ITEMS, Request


class RequestReader:
    """Converts a caller's ids to requests, and holds the items that are blocked for every user."""

    def __init__(self, bundle: LoadedBundle):
        self._bundle = bundle
        self.blocked = NO_ITEMS
        """int64, sorted: items that no request may return."""

    def read(
        self,
        history: Iterable[Any],
        exclude: Iterable[Any],
        candidates: Iterable[Any] | None,
        boost: Mapping[Any, float] | None,
    ) -> Request:
        """Look up a caller's history and rules.

        Raises:
            DataError: if a list is not a list of ids, or a boost is not a finite number.
        """
        unknown: dict[str, None] = {}
        return self.read_rules(self.indices(history, "history", unknown), exclude, candidates, boost, unknown)

    def read_rules(
        self,
        history: np.ndarray,
        exclude: Iterable[Any],
        candidates: Iterable[Any] | None,
        boost: Mapping[Any, float] | None,
        unknown: dict[str, None],
    ) -> Request:
        """Look up a caller's rules for a history of item indices, int64; add unknown ids to ``unknown``."""
        hidden = self.indices(exclude, "exclude", unknown)
        if len(self.blocked):
            hidden = np.concatenate([hidden, self.blocked])
        allowed = None if candidates is None else self.indices(candidates, "candidates", unknown)
        boosts = {} if boost is None else self._boosts(boost, unknown)
        return Request(history, hidden, allowed, tuple(unknown), boosts)

    def indices(self, items: Iterable[Any], name: str, unknown: dict[str, None]) -> np.ndarray:
        """Look up the indices, int64, of the known ids among ``items``; add the others to ``unknown``, in order.

        Raises:
            DataError: if ``items`` is not a list of ids; the message calls the list ``name``.
        """
        ids = id_list(items, name, ordered=name == "history")
        if not ids:
            return NO_ITEMS
        found = self._bundle.catalogue.find(ids)
        if None in found:
            unknown.update((item, None) for item, index in zip(ids, found, strict=True) if index is None)
            found = [index for index in found if index is not None]
        return np.array(found, dtype=np.int64)

    def block(self, items: Iterable[Any], skip_unknown: bool) -> tuple[str, ...]:
        """Replace the list of blocked items by ``items``; see :meth:`Recommender.block`."""
        unknown: dict[str, None] = {}
        blocked = np.unique(self.indices(items, "block", unknown))
        if unknown and not skip_unknown:
            raise DataError(unknown_sentence("block", unknown, self._bundle.catalogue.item_ids))
        self.blocked = blocked
        return tuple(unknown)

    def _boosts(self, boost: Mapping[Any, float], unknown: dict[str, None]) -> dict[int, float]:
        ids, amounts = read_boosts(boost)
        found = self._bundle.catalogue.find(ids)
        unknown.update((item, None) for item, index in zip(ids, found, strict=True) if index is None)
        return {index: amount for index, amount in zip(found, amounts, strict=True) if index is not None}
