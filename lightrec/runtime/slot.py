"""A place for a recommender that can be exchanged while requests are being answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightrec.runtime.arguments import id_list
from lightrec.runtime.recommender import Recommender


class RecommenderSlot:
    """Holds one loaded bundle and swaps it for another without a failed or mixed answer; safe for threads.

    Take :attr:`current` once for each request::

        slot = RecommenderSlot("bundle")
        slot.current.recommend(history)   # in any thread
        slot.swap("new-bundle")           # in another

    Requests that have begun end with the old bundle, which is freed when the last of them and the last of its
    sessions is gone. A session's exported state can go on under the new bundle.
    """

    def __init__(self, bundle: str | Path, check: Callable[[Recommender], None] | None = None, **options: Any):
        """Load ``bundle`` with ``options``; ``check`` sees each recommender first and refuses it by raising."""
        if "block" in options:  # an iterator would be empty at the next swap
            options["block"] = id_list(options["block"], "block")
        self._options = options
        self._check = check
        self._swapping = threading.Lock()
        self._current = self._load(bundle, **options)

    @property
    def current(self) -> Recommender:
        """The bundle that answers now."""
        return self._current

    def swap(self, bundle: str | Path, **options: Any) -> Recommender:
        """Load ``bundle``, ask it once, and put it into this place; returns it.

        Args:
            bundle: the folder.
            options: those of :meth:`Recommender.load` that differ from the ones given first.

        Raises:
            BundleError: if the new bundle cannot be loaded, or what ``check`` raises; the old one goes on answering.
        """
        with self._swapping:
            new = self._load(bundle, **{**self._options, **options})
            self._current = new
        return new

    def __reduce__(self) -> Any:
        """Pickle the path and the options, as :class:`Recommender` does."""
        return _reloaded, (self._current, self._check, self._options)

    def _load(self, bundle: str | Path, **options: Any) -> Recommender:
        new = Recommender.load(bundle, **options)
        if self._check is not None:
            self._check(new)
        return _ready(new)


def _reloaded(current: Recommender, check: Callable[[Recommender], None] | None, options: dict[str, Any]) -> Any:
    slot = RecommenderSlot.__new__(RecommenderSlot)
    slot._options, slot._check, slot._swapping, slot._current = options, check, threading.Lock(), _ready(current)
    return slot


def _ready(recommender: Recommender) -> Recommender:
    """``recommender`` after its first runs, which prepare buffers and open the graphs for sessions and few candidates.

    By the time these are needed another bundle may lie in the folder, and only slower ways would be left.
    """
    ids = recommender.item_ids
    recommender.recommend(ids[:1], k=1)
    recommender.recommend(ids[:1], k=1, candidates=ids[1:2])
    recommender.session(ids[:1]).recommend(k=1)
    return recommender
