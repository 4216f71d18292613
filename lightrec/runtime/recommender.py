"""Raw item ids in, recommendations out."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.bundle import (
    ITEMS,
    MANIFEST,
    OLD_ITEMS,
    PACKED_ITEMS,
    PACKED_TITLES,
    SMALL_FILES,
    Catalogue,
    Manifest,
    ModelRecord,
    read_catalogue,
    read_manifest,
    verify_hashes,
)
from lightrec.errors import BundleError, ConfigError, DataError
from lightrec.files.atomic import restore, sha256_file
from lightrec.runtime.arguments import each_of, id_list, item_id, shown, unknown_sentence, whole_number
from lightrec.runtime.backends.base import Inputs
from lightrec.runtime.backends.failures import wrong_answer
from lightrec.runtime.backends.parts import identities
from lightrec.runtime.backends.registry import Backend, choose_model, meant_backend, open_backend
from lightrec.runtime.reload import Source, reload
from lightrec.runtime.requests import NOTHING, Ranking, Recommendation, Recommendations, Request, all_finite, rankings

if TYPE_CHECKING:
    from lightrec.runtime.session import Session

__all__ = ["Ranking", "Recommendation", "Recommendations", "Recommender", "Request"]

USERS_AT_ONCE = 32
"""Batches are cut into runs of so many users: more gain nothing, and have histories of less like length."""

CHECKED_BYTES = 2 * 2**20
"""Models of at most so many bytes are checked whenever they are loaded: SHA-256 takes 0.5 to 2 ms for each MiB."""

SCORES_AT_ONCE = 2**24
"""Batches are cut so that no run of the graph holds more scores than this (64 MiB)."""


class Recommender:
    """A loaded bundle; safe to use from several threads at once. Make one with :meth:`load`.

    Items are called by their own ids: strings, whole numbers (50 means "50") or UUIDs. Anything else, such as 50.0,
    None or bytes, is a :class:`DataError`.

    Once loaded, it answers from that bundle, also when the folder is replaced or deleted. Candidates and sessions that
    are first asked for after that, and batches on several threads, are answered the same but more slowly. Replace the
    folder, or its files, by renaming: files are mapped into memory, and must not be written into.
    """

    def __init__(self, manifest: Manifest, catalogue: Catalogue, backend: Backend, block: Iterable[Any] = ()):
        self.manifest = manifest
        """What the bundle says of itself."""
        self.n_items = manifest.n_items
        """Size of the catalogue, N."""
        self.k_limit = manifest.k_limit
        """The longest ranking for which the bundle was checked; longer ones are answered as well."""
        self._backend = backend
        self._source: Source | None = None
        self._catalogue = catalogue
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
        if not isinstance(bundle, str | os.PathLike) or "\0" in str(bundle):
            raise ConfigError(f"bundle is {shown(bundle)}: give the path of a folder.")
        bundle = Path(bundle)
        restore(bundle)
        known = identities([bundle / MANIFEST])
        manifest = read_manifest(bundle)
        record = choose_model(bundle, manifest, meant_backend(backend, device, compute, providers), precision)
        verify_hashes(bundle, only=_checked_files(manifest, record, verify))
        options: dict[str, Any] = {"device": device, "compute": compute, "providers": providers, "cache": cache}
        catalogue = read_catalogue(bundle, manifest)
        model = open_backend(bundle, manifest, threads=threads, record=record, **options)
        # Else the items of one bundle could stand beside the model of another.
        if identities(known) != known:
            raise BundleError(f"The bundle {bundle} was replaced while it was being loaded: load it again.")
        recommender = cls(manifest, catalogue, model, block)
        recommender._source = Source(
            bundle.absolute(),
            sha256_file(bundle / MANIFEST),
            {"backend": record.backend, "precision": record.precision, "threads": threads, "verify": verify, **options},
        )
        return recommender

    @property
    def backend(self) -> Backend:
        """The model, loaded; opened anew in a process that was forked after a runtime had started threads."""
        if self._backend.lost:
            self._backend = self._reopened()
        return self._backend

    def _reopened(self) -> Backend:
        if self._source is None:
            raise BundleError("This recommender cannot be used in a forked process: load the bundle there.")
        return reload(self._source, ()).backend

    def __reduce__(self) -> Any:
        """Pickle the path and the options: whoever unpickles it loads the same bundle from there."""
        if self._source is None:
            raise BundleError("This recommender was not loaded from a folder, and cannot be pickled.")
        return reload, (self._source, self.blocked)

    def __copy__(self) -> Recommender:
        """Another recommender on the same loaded bundle, which blocks items of its own."""
        copy = type(self)(self.manifest, self._catalogue, self.backend)
        copy._source, copy._blocked = self._source, self._blocked
        return copy

    def __deepcopy__(self, memo: Any) -> Recommender:
        """As :meth:`__copy__`: what has been loaded is never changed."""
        return self.__copy__()

    @property
    def item_ids(self) -> Sequence[str]:
        """The items' own ids, by index."""
        return self._catalogue.item_ids

    @functools.cached_property
    def state_key(self) -> str:
        """SHA-256 of the model, its parts and the ids: what a session remembers means nothing to any other."""
        files, record = self.manifest.files, self.backend.record
        names = [*record.files, *record.parts.values(), *sorted({ITEMS, OLD_ITEMS, *PACKED_ITEMS} & set(files))]
        return hashlib.sha256("\n".join(files[name].sha256 for name in names).encode()).hexdigest()

    @property
    def blocked(self) -> list[str]:
        """The items that nobody is recommended."""
        return [self.item_ids[item] for item in self._blocked]

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
        unknown: dict[str, None] = {}
        blocked = np.unique(self.indices(items, "block", unknown))
        if unknown and not skip_unknown:
            raise DataError(unknown_sentence("block", unknown, self.item_ids))
        self._blocked = blocked
        return tuple(unknown)

    def __contains__(self, item: object) -> bool:
        try:
            return self._place(item) is not None
        except DataError:
            return False

    def title(self, item: Any) -> str | None:
        """The title of an item; None if the item is not known or has no title; a DataError if it is no id."""
        index, titles = self._place(item), self._catalogue.titles
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
        return self._answer([self._request(history, exclude, candidates, boost)], k)[0]

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
        requests = [self._request(*pair, allowed, boost) for pair in zip(histories, excludes, strict=True)]
        return self._answer(requests, k)

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
        requests = [Request(np.asarray(history, dtype=np.int64), NOTHING) for history in histories]
        for request in requests:
            if len(request.history) and not (request.history.min() >= 0 and request.history.max() < self.n_items):
                raise DataError(f"A history holds something else than the items 0 to {self.n_items - 1}.")
        ranked = np.full((len(requests), k), -1, dtype=np.int64)
        for row, (items, _) in zip(ranked, self.rank(requests, k), strict=True):
            row[: len(items)] = items
        return ranked

    def session(self, history: Iterable[Any] = (), state: Mapping[str, np.ndarray] | None = None) -> Session:
        """A user's history that grows item by item; each recommendation reads only what is new.

        Args:
            history: items to start from, oldest first.
            state: what :meth:`Session.export` returned, here or elsewhere, to go on from; the items of ``history``
                come after it.
        """
        from lightrec.runtime.session import Session

        return Session(self, history, state)

    def indices(self, items: Iterable[Any], name: str, unknown: dict[str, None]) -> np.ndarray:
        """The indices int64 of the known ids among ``items``; the others are added to ``unknown``, in their order.

        Raises:
            DataError: if ``items`` is no list of ids; ``name`` says which list it is.
        """
        ids = id_list(items, name, ordered=name == "history")
        found = self._catalogue.find(ids)
        if None in found:
            unknown.update((item, None) for item, index in zip(ids, found, strict=True) if index is None)
            found = [index for index in found if index is not None]
        return np.array(found, dtype=np.int64) if found else NOTHING

    def rank(self, requests: Sequence[Request], k: int) -> list[Ranking]:
        """Item indices and scores for each request, by the model or by popularity; boosts are not looked at."""
        answers: list[Ranking | None] = [None] * len(requests)
        for place, ranking in self._rank(requests, k):
            answers[place] = ranking
        return answers  # type: ignore[return-value]

    def answer(self, ranking: Ranking, request: Request) -> Recommendations:
        """A ranking in ids and titles."""
        items, scores = ranking
        ids, titles = self.item_ids, self._catalogue.titles
        places = items.tolist()
        self._require_items(places, scores)
        named = [None] * len(places) if titles is None else [titles[item] for item in places]
        chosen = [ids[item] for item in places]
        if (
            len(set(chosen)) != len(chosen) or None in chosen
        ):  # only in a damaged large catalogue, which is mapped unread
            raise BundleError("The bundle's catalogue has items of one id or of none: copy or export the bundle again.")
        found = map(Recommendation, chosen, scores, named)
        return Recommendations(found, request.unknown, fallback=not len(request.history))

    def _require_items(self, places: list[int], scores: Sequence[float | None]) -> None:
        """Refuse an answer that names an item twice, or none of the catalogue, or has a score that is no number.

        Only a damaged bundle answers so: its model, or the popularity of a large catalogue, which is mapped unread.
        """
        if not places:
            return
        sound = min(places) >= 0 and max(places) < self.n_items and len(set(places)) == len(places)
        if not sound or not (scores[0] is None or all_finite(scores)):  # type: ignore[arg-type]
            raise wrong_answer(Path(self.backend.record.files[0]), "items or scores that cannot be")

    def best_candidates(self, state: np.ndarray, request: Request, k: int) -> Ranking:
        """The best of a request's candidates under the encoder's ``state``, by the graph that scores only these."""
        assert self.backend.parts is not None and request.candidates is not None
        left = np.setdiff1d(request.candidates, np.concatenate([request.history, request.exclude]))
        if not len(left):
            return NOTHING, ()
        recent = request.history[-self.manifest.max_length :]
        scores = self.backend.parts.score_candidates(state, recent, left)
        best = np.argsort(-scores, kind="stable")[:k]  # of equal scores the lower index first: left is sorted
        return left[best], scores[best].tolist()

    def model_inputs(self, requests: Sequence[Request], k: int) -> Inputs:
        """``history``, ``length``, ``exclude`` and ``k`` as :meth:`Backend.run` takes them."""
        window = self.manifest.max_length
        recent = [request.history[-window:] for request in requests]
        # What the model does not read is still filtered as seen.
        others = [self._hidden(request, window) for request in requests]
        length = np.array([len(history) for history in recent], dtype=np.int64)
        return _pad(recent, 0), length, _pad(others, -1), np.array([min(k, self.n_items)], dtype=np.int64)

    def request(
        self,
        history: np.ndarray,
        exclude: Iterable[Any],
        candidates: Iterable[Any] | None,
        boost: Mapping[Any, float] | None,
        unknown: dict[str, None],
    ) -> Request:
        """A caller's rules for a history int64 in indices; ids that are not known are added to ``unknown``."""
        hidden = self.indices(exclude, "exclude", unknown)
        if len(self._blocked):
            hidden = np.concatenate([hidden, self._blocked])
        allowed = None if candidates is None else self.indices(candidates, "candidates", unknown)
        boosts = {} if boost is None else self._boosts(boost, unknown)
        return Request(history, hidden, allowed, tuple(unknown), boosts)

    def _request(
        self,
        history: Iterable[Any],
        exclude: Iterable[Any],
        candidates: Iterable[Any] | None,
        boost: Mapping[Any, float] | None,
    ) -> Request:
        unknown: dict[str, None] = {}
        return self.request(self.indices(history, "history", unknown), exclude, candidates, boost, unknown)

    def _boosts(self, boost: Mapping[Any, float], unknown: dict[str, None]) -> dict[int, float]:
        from lightrec.runtime.boosts import read_boosts

        ids, amounts = read_boosts(boost)
        found = self._catalogue.find(ids)
        unknown.update((item, None) for item, index in zip(ids, found, strict=True) if index is None)
        return {index: amount for index, amount in zip(found, amounts, strict=True) if index is not None}

    def _answer(self, requests: Sequence[Request], k: int) -> list[Recommendations]:
        if requests and requests[0].boosts:
            return [self.answer(*pair) for pair in zip(self._rank_boosted(requests, k), requests, strict=True)]
        answers: list[Recommendations | None] = [None] * len(requests)
        for place, ranking in self._rank(requests, k):  # put into words while others are still computed
            answers[place] = self.answer(ranking, requests[place])
        return answers  # type: ignore[return-value]

    def _rank(self, requests: Sequence[Request], k: int) -> Iterator[tuple[int, Ranking]]:
        """The rankings as they come, each with the place of its request."""
        k = whole_number(k)
        if len(requests) == 1:
            alone = self._alone(requests[0], k)
            yield 0, alone or next(rankings(*self.backend.run(*self.model_inputs(requests, k))))
            return
        asked = []
        for place, request in enumerate(requests):
            alone = self._alone(request, k)
            if alone is None:
                asked.append(place)
            else:
                yield place, alone
        # Histories of like length together: the others of a run are padded to its longest. The longest first, so that
        # threads end at about the same time.
        asked.sort(key=lambda place: -min(len(requests[place].history), self.manifest.max_length))
        portions = list(self._portions(asked))
        inputs = (self.model_inputs([requests[place] for place in places], k) for places in portions)
        # One run alone has all threads.
        answers = self.backend.run_many(inputs) if len(portions) > 1 else (self.backend.run(*one) for one in inputs)
        for places, answer in zip(portions, answers, strict=True):
            yield from zip(places, rankings(*answer), strict=True)

    def _rank_boosted(self, requests: Sequence[Request], k: int) -> list[Ranking]:
        from lightrec.runtime.boosts import boosted_rankings

        return boosted_rankings(self.rank, requests, whole_number(k))

    def _alone(self, request: Request, k: int) -> Ranking | None:
        """The answer to a request that the inference graph is not asked for; None if it is."""
        if not len(request.history):
            return self._popular(request, k)
        parts = self.backend.parts
        if request.candidates is None or parts is None or not parts.ready("step", "candidates"):
            return None
        state, _ = parts.step(request.history[-self.manifest.max_length :], parts.start())
        return self.best_candidates(state, request, k)

    def _popular(self, request: Request, k: int) -> Ranking:
        order = self._catalogue.popularity
        if request.candidates is None:
            order = order[: k + len(request.exclude)]  # enough of them remain
        else:
            order = order[np.isin(order, request.candidates)]
        items = order[~np.isin(order, request.exclude)][:k].astype(np.int64)
        return items, (None,) * len(items)

    def _hidden(self, request: Request, window: int) -> np.ndarray:
        """What a request leaves out beside the items that the model reads."""
        if len(request.history) <= window and request.candidates is None:
            return request.exclude
        parts = [request.history[:-window], request.exclude]
        if request.candidates is not None:
            others = np.ones(self.n_items, dtype=bool)
            others[request.candidates] = False
            parts.append(np.flatnonzero(others))
        parts = [part for part in parts if len(part)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else NOTHING

    def _portions(self, places: list[int]) -> Iterator[list[int]]:
        size = max(1, min(USERS_AT_ONCE, SCORES_AT_ONCE // self.n_items))
        return (places[start : start + size] for start in range(0, len(places), size))

    def _place(self, item: object) -> int | None:
        return self._catalogue.find([item_id(item, "The call")])[0]


def _checked_files(manifest: Manifest, record: ModelRecord, verify: bool | None) -> Iterable[str] | None:
    """The files whose SHA-256 is compared while a model is loaded; None for all of the bundle."""
    mapped = {*record.files, *record.parts.values(), *PACKED_ITEMS, *PACKED_TITLES} & set(manifest.files)
    small = sum(manifest.files[name].bytes for name in mapped) <= CHECKED_BYTES
    if verify is None:
        return {*SMALL_FILES, *mapped} if small else SMALL_FILES
    return None if verify else SMALL_FILES


def _pad(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """int64 ``[B, longest row, at least 1]``."""
    if len(rows) == 1 and len(rows[0]):
        return rows[0][None]
    width = max(1, *(len(row) for row in rows))
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
