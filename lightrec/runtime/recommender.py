"""Raw item ids in, recommendations out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lightrec.bundle import MANIFEST, SMALL_FILES, Catalogue, Manifest, read_catalogue, verify_hashes
from lightrec.errors import BundleError, ConfigError, DataError
from lightrec.runtime.backend import Inputs
from lightrec.runtime.backends import Backend, open_backend
from lightrec.runtime.parts import identities

if TYPE_CHECKING:
    from lightrec.runtime.session import Session

USERS_AT_ONCE = 32
"""Batches are cut into runs of so many users: more gain nothing, and have histories of less like length."""

SCORES_AT_ONCE = 2**24
"""Batches are cut so that no run of the graph holds more scores than this (64 MiB)."""


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


class Recommender:
    """A loaded bundle; safe to use from several threads at once. Make one with :meth:`load`.

    Items are called by their own ids. Ids that are not strings are taken as ``str(id)``, so that 50 means "50".

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
        self.backend = backend
        """The model, loaded."""
        self._catalogue = catalogue
        self.block(block)

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        backend: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        verify: bool = False,
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
            verify: also check the SHA-256 of the model files, and of the ids and titles of a large catalogue, which are
                mapped like those; the other files are always checked.
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
            ConfigError: if a device or provider is not here (the message lists those that are), or an option belongs
                to another backend.
            MissingExtraError: if the backend is not installed.
        """
        known = identities([Path(bundle) / MANIFEST])
        manifest = verify_hashes(bundle, only=None if verify else SMALL_FILES)
        options: dict[str, Any] = {"device": device, "compute": compute, "providers": providers, "cache": cache}
        catalogue = read_catalogue(bundle, manifest)
        model = open_backend(bundle, manifest, backend, threads, precision, **options)
        # Else the items of one bundle could stand beside the model of another.
        if identities(known) != known:
            raise BundleError(f"The bundle {bundle} was replaced while it was being loaded: load it again.")
        return cls(manifest, catalogue, model, block)

    @property
    def item_ids(self) -> Sequence[str]:
        """The items' own ids, by index."""
        return self._catalogue.item_ids

    @property
    def blocked(self) -> list[str]:
        """The items that nobody is recommended."""
        return [self.item_ids[item] for item in self._blocked]

    def block(self, items: Iterable[Any]) -> tuple[str, ...]:
        """Recommend none of ``items`` to anybody from now on, in place of those blocked before.

        In a history they still say what the user likes. :meth:`top_k`, which evaluates the model, does not look at
        them. Returns the ids that the bundle does not know.
        """
        unknown: dict[str, None] = {}
        self._blocked = np.unique(self.indices(items, "block", unknown))
        return tuple(unknown)

    def __contains__(self, item: object) -> bool:
        return self._place(item) is not None

    def title(self, item: Any) -> str | None:
        """The title of an item; None if the item is not known or has no title."""
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
            ConfigError: if ``k`` is below 1.
            DataError: if a list of ids is one string, or a boost is no finite number.
        """
        return self._answer([self._request(history, exclude, candidates, boost)], k)[0]

    def recommend_batch(
        self,
        histories: Sequence[Iterable[Any]],
        k: int = 10,
        exclude: Sequence[Iterable[Any]] | None = None,
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
        excludes = [()] * len(histories) if exclude is None else exclude
        if len(excludes) != len(histories):
            raise ConfigError(f"exclude has {len(excludes)} entries for {len(histories)} histories: give one for each.")
        allowed = None if candidates is None else list(candidates)
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
        """
        if not filter_seen:
            raise ConfigError("A bundle always filters seen items: evaluate the run folder to keep them.")
        requests = [Request(np.asarray(history, dtype=np.int64), NOTHING) for history in histories]
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
            DataError: if ``items`` is one string; ``name`` says which list it is.
        """
        if isinstance(items, str | bytes):
            raise DataError(f"{name} is the string {items!r}: give a list of item ids, such as [{items!r}].")
        ids = [item if type(item) is str else str(item) for item in items]
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
        named = [None] * len(places) if titles is None else [titles[item] for item in places]
        found = map(Recommendation, [ids[item] for item in places], scores, named)
        return Recommendations(found, request.unknown, fallback=not len(request.history))

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
        boosts = self._boosts(boost, unknown) if boost else {}
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
        require_k(k)
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

        require_k(k)
        return boosted_rankings(self.rank, requests, k)

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
        return self._catalogue.find([str(item)])[0]


def require_k(k: Any) -> None:
    """Refuse a ``k`` that is no whole number of at least 1 with a :class:`ConfigError`."""
    if type(k) is int and k >= 1:
        return
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1.")


def rankings(items: np.ndarray, scores: np.ndarray) -> Iterator[Ranking]:
    """The rows of a graph's answer without the items -1 that fill them up."""
    for row, row_scores in zip(items, scores, strict=True):
        if row.size and row[-1] < 0:
            real = row >= 0
            row, row_scores = row[real], row_scores[real]
        yield row, row_scores.tolist()


def _pad(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """int64 ``[B, longest row, at least 1]``."""
    if len(rows) == 1 and len(rows[0]):
        return rows[0][None]
    width = max(1, *(len(row) for row in rows))
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
