"""A slot for a recommender that can be replaced while requests are being answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightrec.runtime.arguments import id_list
from lightrec.runtime.recommender import Recommender


class RecommenderSlot:
    """Holds one recommender and swaps it for another without a failed or mixed answer; safe for several threads.

    Take :attr:`current` once for each request::

        slot = RecommenderSlot("bundle")
        slot.current.recommend(history)   # in any thread
        slot.swap("new-bundle")           # in another

    Requests in progress finish with the old bundle, which is freed when the last of them and the last of its
    sessions is gone. The exported state of a session can continue with the new bundle.
    """

    def __init__(self, bundle: str | Path, check: Callable[[Recommender], None] | None = None, **options: Any):
        """Load ``bundle`` with ``options``; ``check`` gets each new recommender first and may raise to reject it."""
        if "block" in options:  # an iterator would be empty at the next swap
            options["block"] = id_list(options["block"], "block")
        self._options = options
        self._check = check
        self._swapping = threading.Lock()
        self._current = self._load(bundle, **options)

    @property
    def current(self) -> Recommender:
        """The recommender that answers now."""
        return self._current

    def swap(self, bundle: str | Path, **options: Any) -> Recommender:
        """Load ``bundle``, run it once to warm up, and make it current; return the new recommender.

        Args:
            bundle: the folder.
            options: options of :meth:`Recommender.load` that replace those given to the slot.

        Raises:
            BundleError: if the new bundle cannot be loaded. After this, or an error of ``check``, the old one stays.
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
    """Return ``recommender`` after first runs that prepare buffers and open the graphs of sessions and few candidates.

    If they were opened only when needed, the folder might hold another bundle by then, and answers would be slower.
    """
    ids = recommender.item_ids
    recommender.recommend(ids[:1], k=1)
    recommender.recommend(ids[:1], k=1, candidates=ids[1:2])
    recommender.session(ids[:1]).recommend(k=1)
    return recommender
