"""A place for a recommender that can be exchanged while requests are being answered."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

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

    def __init__(self, bundle: str | Path, **options: Any):
        self._options = options
        self._swapping = threading.Lock()
        self._current = Recommender.load(bundle, **options)

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
            BundleError: if the new bundle cannot be loaded; the old one goes on answering.
        """
        with self._swapping:
            new = Recommender.load(bundle, **{**self._options, **options})
            new.recommend(new.item_ids[:1], k=1)  # the first run prepares buffers
            self._current = new
        return new
