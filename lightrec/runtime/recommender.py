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

    Items are called by their own ids: strings, whole numbers (50 means "50") or UUIDs. Anything else, such as 50.0,
    None or bytes, is a :class:`DataError`.

    Once loaded, it answers from that bundle, also when the folder is replaced or deleted. Candidates and sessions that
    are first asked for after that, and batches on several threads, are answered the same but more slowly. Replace the
    folder, or its files, by renaming: files are mapped into memory, and must not be written into.
    """

    def __init__(self, bundle: LoadedBundle, block: Iterable[Any] = ()):
        self.manifest = bundle.manifest
        """The bundle's manifest."""
        self.n_items = bundle.manifest.n_items
        """Size of the catalogue, N."""
        self.k_limit = bundle.manifest.k_limit
        """The longest ranking for which the bundle was checked; longer ones are answered as well."""
        self.ranker = bundle.ranker
        """Ranks by item index."""
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
            backend: "onnxruntime" or "openvino"; if None, the one whose options are given below, or ONNX Runtime where
                the bundle has a model for it.
            threads: compute threads; one if None.
            precision: which model, where the bundle holds several; the first if None.
            verify: whether to check the SHA-256 of the model's files as well, and of the ids and titles of a large
                catalogue, which are mapped like those; the other files are always checked. If None, they are checked
                where together they have at most 2 MiB, which takes 1 to 4 ms. True checks every file of the bundle,
                whatever its size, at 0.5 to 2 GB a second; False none but the small ones.
            device: OpenVINO's device, such as "CPU", "GPU" or "NPU"; the CPU if None.
            compute: the numbers that OpenVINO computes in: "f32" (if None), or "bf16" or "f16" where the device has
                them, which may change the order of near items; no gate has looked at these.
            providers: ONNX Runtime's execution providers, the preferred first, such as
                ``["CUDAExecutionProvider", "CPUExecutionProvider"]``; the CPU's if None.
            cache: whether OpenVINO keeps compiled models, to load faster next time, in ``openvino`` under the folder
                named by ``LIGHTREC_CACHE`` (by default ``~/.cache/lightrec``). Not where none can be written.
            block: items never to recommend to anybody; see :meth:`block`.

        Raises:
            BundleError: if the bundle cannot be read, is damaged or replaced meanwhile, or holds no such model.
            DataError: if an id in ``block`` is not known.
            ConfigError: if a device or provider is not here (the message lists those that are), or an option belongs
                to another backend.
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
        """The loaded model; opened again in a process that was forked after a runtime had started threads."""
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
        """Do the same as :meth:`__copy__`: a loaded bundle never changes."""
        return self.__copy__()

    @property
    def item_ids(self) -> Sequence[str]:
        """The items' own ids, by index."""
        return self._catalogue.item_ids

    @property
    def blocked(self) -> list[str]:
        """The items that nobody is recommended."""
        return [self.item_ids[item] for item in self._reader.blocked.tolist()]

    def block(self, items: Iterable[Any], skip_unknown: bool = False) -> tuple[str, ...]:
        """Recommend none of ``items`` to anybody from now on, in place of those blocked before.

        In a history they still say what the user likes. :meth:`top_k`, which evaluates the model, does not look at
        them.

        Args:
            items: their ids.
            skip_unknown: whether ids that the bundle does not know are skipped, for a list that is kept for several
                catalogues. By default they are refused, since an item whose id is misspelt would still be recommended.

        Returns:
            The ids that were skipped.

        Raises:
            DataError: if an id is unknown, naming the known ids most like it; what was blocked before stays blocked.
        """
        return self._reader.block(items, skip_unknown)

    def __contains__(self, item: object) -> bool:
        try:
            return self._index(item) is not None
        except DataError:
            return False

    def title(self, item: Any) -> str | None:
        """The title of an item; None if the item is not known or has no title; a DataError if it is no id."""
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
        """The items to show next to one user, best first.

        Items of the history are never returned, however long it is; the model reads its last ``max_length``
        known items. A history without a known item is answered by popularity.

        Args:
            history: the user's item ids, oldest first.
            k: how many items; fewer come back where fewer remain.
            exclude: further items never to return.
            candidates: if given, only these may be returned.
            boost: for some items a number that is added to their score before the whole catalogue is ranked; less
                than 0 to lower them. Scores are logits: ln 2 = 0.69 makes an item twice as likely against the others.
                The scores returned hold it. Answers by popularity have no score and are not boosted.

        Raises:
            ConfigError: if ``k`` is no whole number of at least 1.
            DataError: if a list is no list of ids (one string, None, a set as history, floats), or a boost is no
                finite number.
            BundleError: if the runtime cannot run the model, or its answer is not one that the format allows.
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
        """:meth:`recommend` for many users at once.

        Args:
            histories: one history per user.
            k: how many items for each user.
            exclude: None, or one collection of items per user.
            candidates: if given, only these may be returned, to any user.
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
            histories: B arrays of item indices, oldest first; an empty one is answered by popularity.
            k: how many items, at most :attr:`k_limit`.
            filter_seen: must be True; the graph of a bundle always leaves out the history's own items.

        Returns:
            int64 ``[B, k]``, best first; a row with fewer items ends in -1.

        Raises:
            DataError: if a history holds something that is no item's index.
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
        """A user's history that grows item by item; each recommendation reads only what is new.

        Args:
            history: items to start from, oldest first.
            state: what :meth:`Session.export` returned, here or elsewhere, to go on from; the items of ``history``
                come after it.
        """
        return Session(self._bundle, self._reader, history, state)

    def _recommend(self, requests: Sequence[Request], k: int) -> list[Recommendations]:
        look_up, file = look_up_recommendations, self.ranker.model_file
        if requests and requests[0].boosts:
            rankings = self.ranker.rank_boosted(requests, k)
            return [look_up(*pair, self._catalogue, file) for pair in zip(rankings, requests, strict=True)]
        found: list[Recommendations | None] = [None] * len(requests)
        # Ids and titles are looked up while other requests are still computed.
        for position, ranking in self.ranker.rank_as_completed(requests, k):
            found[position] = look_up(ranking, requests[position], self._catalogue, file)
        return found  # type: ignore[return-value]

    def _index(self, item: object) -> int | None:
        return self._catalogue.find([item_id(item, "The call")])[0]
