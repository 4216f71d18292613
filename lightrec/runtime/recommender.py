"""The recommender: a loaded bundle that takes a user's item ids and returns recommendations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lightrec.errors import ConfigError, DataError
from lightrec.runtime.arguments import each_of, id_list, item_id, whole_number
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.loaded_bundle import LoadedBundle, load_bundle
from lightrec.runtime.recommendations import Recommendation, Recommendations, look_up_recommendations
from lightrec.runtime.request_reader import RequestReader
from lightrec.runtime.requests import NO_ITEMS, Request
from lightrec.runtime.session import Session

__all__ = ["Recommendation", "Recommendations", "Recommender"]


class Recommender:
    """A loaded bundle; safe to use from several threads at once. Make one with :meth:`load`.

    Item ids are strings, whole numbers (50 means "50") or UUIDs. Anything else, such as 50.0, None or bytes, raises
    :class:`DataError`.

    A loaded recommender answers from its bundle even after the folder is replaced or deleted. The first requests with
    candidates, the first sessions, and batches on several threads then give the same answers, but more slowly. Replace
    the folder, or its files, by renaming; never write into the files, because they are mapped into memory.
    """

    def __init__(self, bundle: LoadedBundle, block: Iterable[Any] = ()):
        self.manifest = bundle.manifest
        """The bundle's manifest."""
        self.n_items = bundle.manifest.n_items
        """Size of the catalogue, N."""
        self.k_limit = bundle.manifest.k_limit
        """The largest ``k`` for which the bundle was checked; larger ones are answered as well."""
        self.ranker = bundle.ranker
        """The ranker, which works on item indices."""
        self._bundle = bundle
        self._catalogue = bundle.catalogue
        self._reader = RequestReader(bundle)
        self.block(block)

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str],
        backend: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        verify: bool | None = None,
        *,
        device: str | None = None,
        compute: str | None = None,
        providers: Sequence[str] | None = None,
        cache: bool = True,
        block: Iterable[Any] = (),
    ) -> Recommender:
        """Load a bundle.

        Args:
            bundle: the folder.
            backend: "onnxruntime" or "openvino"; if None, the backend whose options are given below, or else ONNX
                Runtime if the bundle has a model for it.
            threads: compute threads; one if None.
            precision: the precision of the model, if the bundle holds several models; the first model if None.
            verify: whether to check the SHA-256 of the memory-mapped files: the model, and the ids and titles of a
                large catalogue. The small files are always checked. None checks the mapped files if they have at most
                2 MiB together, which takes 1 to 4 ms. True checks every file of the bundle, whatever its size, at 0.5
                to 2 GB a second; False checks only the small files.
            device: OpenVINO's device, such as "CPU", "GPU" or "NPU"; the CPU if None.
            compute: the number type that OpenVINO computes in: "f32" (if None), or "bf16" or "f16" if the device
                supports it. These two may swap items with close scores; the export's checks do not cover them.
            providers: ONNX Runtime's execution providers, the preferred first, such as
                ``["CUDAExecutionProvider", "CPUExecutionProvider"]``; the CPU's if None.
            cache: whether OpenVINO stores compiled models, to load faster next time, in ``openvino`` under the folder
                named by ``LIGHTREC_CACHE`` (by default ``~/.cache/lightrec``). Ignored if that is not writable.
            block: items never to recommend to any user; see :meth:`block`.

        Raises:
            BundleError: if the bundle cannot be read, is damaged, is replaced during loading, or holds no such model.
            DataError: if an id in ``block`` is not known.
            ConfigError: if a device or provider is not available (the message lists those that are), or an option
                belongs to another backend.
            MissingExtraError: if the backend is not installed.
        """
        loaded = load_bundle(
            bundle,
            backend,
            precision,
            threads,
            verify,
            device=device,
            compute=compute,
            providers=providers,
            cache=cache,
        )
        return cls(loaded, block)

    @property
    def backend(self) -> Backend:
        """The loaded model; it is opened again in a process that was forked after the runtime had started threads."""
        return self.ranker.backend

    def __reduce__(self) -> Any:
        """Pickle the path and the options; unpickling loads the same bundle from that path."""
        return type(self), (self._bundle, self.blocked)

    def __copy__(self) -> Recommender:
        """Return another recommender that shares the loaded bundle and has its own list of blocked items."""
        copy = type(self)(self._bundle)
        copy._reader.blocked = self._reader.blocked
        return copy

    def __deepcopy__(self, memo: Any) -> Recommender:
        """Return the same as :meth:`__copy__`, since a loaded bundle never changes."""
        return self.__copy__()

    @property
    def item_ids(self) -> Sequence[str]:
        """The items' own ids, by index."""
        return self._catalogue.item_ids

    @property
    def blocked(self) -> list[str]:
        """The ids of the blocked items, which are never recommended; see :meth:`block`."""
        return [self.item_ids[item] for item in self._reader.blocked.tolist()]

    def block(self, items: Iterable[Any], skip_unknown: bool = False) -> tuple[str, ...]:
        """Block ``items``: never recommend them to any user. The new list replaces the one before.

        The model still reads blocked items in a history. :meth:`top_k`, which evaluates the model, ignores the list.

        Args:
            items: the ids of the items.
            skip_unknown: whether to skip ids that the bundle does not know, for a list shared by several catalogues.
                By default they raise an error, because an item whose id is misspelt would still be recommended.

        Returns:
            The ids that were skipped.

        Raises:
            DataError: if an id is unknown; the message names similar known ids, and the list before stays in force.
        """
        return self._reader.block(items, skip_unknown)

    def __contains__(self, item: object) -> bool:
        try:
            return self._index(item) is not None
        except DataError:
            return False

    def title(self, item: Any) -> str | None:
        """Return the title of an item, or None if the item is unknown or has no title.

        Raises:
            DataError: if ``item`` is not an id.
        """
        index, titles = self._index(item), self._catalogue.titles
        return None if index is None or titles is None else titles[index]

    def recommend(
        self,
        history: Iterable[Any],
        k: int = 10,
        exclude: Iterable[Any] = (),
        candidates: Iterable[Any] | None = None,
        boost: Mapping[Any, float] | None = None,
    ) -> Recommendations:
        """Return the items to show one user next, best first.

        The model reads the last ``max_length`` known items of the history. Seen items, those anywhere in the history,
        are never returned. A history without a known item gets the most popular items.

        Args:
            history: the user's item ids, oldest first.
            k: how many items to return; the list is shorter if fewer remain.
            exclude: further items never to return.
            candidates: if given, only these items may be returned.
            boost: numbers added to the scores of some items before the whole catalogue is ranked; a negative number
                lowers an item. Scores are logits, so ln 2 = 0.69 doubles an item's odds against any other. The
                returned scores include the boost. Popular items have no score, so they are not boosted.

        Raises:
            ConfigError: if ``k`` is not a whole number of at least 1.
            DataError: if a list is not a list of ids (one string, None, a set as history, floats), or a boost is not
                a finite number.
            BundleError: if the runtime cannot run the model, or the model's answer breaks the format.
        """
        return self._recommend([self._reader.read(history, exclude, candidates, boost)], k)[0]

    def recommend_batch(
        self,
        histories: Iterable[Iterable[Any]],
        k: int = 10,
        exclude: Iterable[Iterable[Any]] | None = None,
        candidates: Iterable[Any] | None = None,
        boost: Mapping[Any, float] | None = None,
    ) -> list[Recommendations]:
        """Return recommendations for many users at once; see :meth:`recommend`.

        Args:
            histories: one history per user.
            k: how many items to return for each user.
            exclude: None, or one collection of items per user.
            candidates: if given, only these items may be returned, for all users.
            boost: as in :meth:`recommend`, for all users.
        """
        histories = each_of(histories, "histories")
        excludes = [()] * len(histories) if exclude is None else each_of(exclude, "exclude")
        if len(excludes) != len(histories):
            raise ConfigError(f"exclude has {len(excludes)} entries for {len(histories)} histories: give one for each.")
        allowed = None if candidates is None else id_list(candidates, "candidates")
        requests = [self._reader.read(*pair, allowed, boost) for pair in zip(histories, excludes, strict=True)]
        return self._recommend(requests, k)

    def top_k(self, histories: Sequence[np.ndarray], k: int, filter_seen: bool = True) -> np.ndarray:
        """Rank by item index, for evaluation.

        Args:
            histories: B arrays of item indices, oldest first; an empty one gets the most popular items.
            k: how many items to return, at most :attr:`k_limit`.
            filter_seen: must be True; the graph of a bundle never returns seen items.

        Returns:
            int64 ``[B, k]``, best first; a row with fewer items is padded with -1.

        Raises:
            DataError: if a history holds something that is not an item index.
        """
        if not filter_seen:
            raise ConfigError("A bundle always filters seen items: evaluate the run folder to keep them.")
        k = whole_number(k)
        requests = [Request(np.asarray(history, dtype=np.int64), NO_ITEMS) for history in histories]
        for request in requests:
            if len(request.history) and not (request.history.min() >= 0 and request.history.max() < self.n_items):
                raise DataError(f"A history holds something else than the items 0 to {self.n_items - 1}.")
        ranked = np.full((len(requests), k), -1, dtype=np.int64)
        for row, (items, _) in zip(ranked, self.ranker.rank(requests, k), strict=True):
            row[: len(items)] = items
        return ranked

    def session(self, history: Iterable[Any] = (), state: Mapping[str, np.ndarray] | None = None) -> Session:
        """Start a session: one user's history that grows item by item, of which the model reads only the new items.

        Args:
            history: items to start with, oldest first.
            state: the result of :meth:`Session.export`, in this process or another, to continue from; the items of
                ``history`` are added after it.
        """
        return Session(self._bundle, self._reader, history, state)

    def _recommend(self, requests: Sequence[Request], k: int) -> list[Recommendations]:
        look_up, file = look_up_recommendations, self.ranker.model_file
        if requests and requests[0].boosts:
            rankings = self.ranker.rank_boosted(requests, k)
            return [look_up(*pair, self._catalogue, file) for pair in zip(rankings, requests, strict=True)]
        found: list[Recommendations | None] = [None] * len(requests)
        # Look up ids and titles while other requests are still being computed.
        for position, ranking in self.ranker.rank_as_completed(requests, k):
            found[position] = look_up(ranking, requests[position], self._catalogue, file)
        return found  # type: ignore[return-value]

    def _index(self, item: object) -> int | None:
        return self._catalogue.find([item_id(item, "The call")])[0]
