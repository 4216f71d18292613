"""Raw item ids in, recommendations out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle import SMALL_FILES, Catalogue, Manifest, read_catalogue, verify_hashes
from lightrec.errors import ConfigError, DataError
from lightrec.runtime.backends import Backend, open_backend

SCORES_AT_ONCE = 2**24
"""Batches are cut so that no run of the graph holds more scores than this (64 MiB)."""


@dataclasses.dataclass(frozen=True)
class Recommendation:
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
        """Ids among history, exclude and candidates that the bundle does not know; they were skipped."""
        self.fallback = fallback
        """True if the history held no known item, so that the most popular items are returned."""


@dataclasses.dataclass(frozen=True)
class _Request:
    """One user's request in item indices."""

    history: np.ndarray
    exclude: np.ndarray
    unknown: tuple[str, ...] = ()


class Recommender:
    """A loaded bundle; safe to use from several threads at once. Make one with :meth:`load`.

    Items are called by their own ids. Ids that are not strings are taken as ``str(id)``, so that 50 means "50".
    """

    def __init__(self, manifest: Manifest, catalogue: Catalogue, backend: Backend):
        self.manifest = manifest
        """What the bundle says of itself."""
        self.n_items = manifest.n_items
        """Size of the catalogue, N."""
        self.k_limit = manifest.k_limit
        """The longest ranking for which the bundle was checked; longer ones are answered as well."""
        self.backend = backend
        """The model, loaded."""
        self._catalogue = catalogue
        self._index = {item: index for index, item in enumerate(catalogue.item_ids)}

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        backend: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        verify: bool = False,
    ) -> Recommender:
        """Load a bundle.

        Args:
            bundle: the folder.
            backend: "onnxruntime" or "openvino"; ONNX Runtime where the bundle has a model for it, if None.
            threads: compute threads; one if None.
            precision: which model, where the bundle holds several; the first if None.
            verify: also check the SHA-256 of the model files; the other files are always checked.

        Raises:
            BundleError: if the bundle cannot be read, is damaged, or holds no such model.
            MissingExtraError: if the backend is not installed.
        """
        manifest = verify_hashes(bundle, only=None if verify else SMALL_FILES)
        return cls(
            manifest,
            read_catalogue(bundle, manifest),
            open_backend(bundle, manifest, backend, threads, precision),
        )

    @property
    def item_ids(self) -> Sequence[str]:
        """The items' own ids, by index."""
        return self._catalogue.item_ids

    def __contains__(self, item: object) -> bool:
        return str(item) in self._index

    def title(self, item: Any) -> str | None:
        """The title of an item; None if the item is not known or has no title."""
        index = self._index.get(str(item))
        return None if index is None else self._title(index)

    def recommend(
        self,
        history: Iterable[Any],
        k: int = 10,
        exclude: Iterable[Any] = (),
        candidates: Iterable[Any] | None = None,
    ) -> Recommendations:
        """The items to show next to one user, best first.

        Items of the history are never returned, however long it is; the model reads its last ``max_length``
        known items. A history without a known item is answered by popularity.

        Args:
            history: the user's item ids, oldest first.
            k: how many items; fewer come back where fewer remain.
            exclude: further items never to return.
            candidates: if given, only these may be returned.

        Raises:
            ConfigError: if ``k`` is below 1.
            DataError: if a list of ids is one string.
        """
        return self._answer([self._request(history, exclude, candidates)], k)[0]

    def recommend_batch(
        self,
        histories: Sequence[Iterable[Any]],
        k: int = 10,
        exclude: Sequence[Iterable[Any]] | None = None,
        candidates: Iterable[Any] | None = None,
    ) -> list[Recommendations]:
        """:meth:`recommend` for many users at once.

        Args:
            histories: one history per user.
            k: how many items for each user.
            exclude: None, or one collection of items per user.
            candidates: if given, only these may be returned, to any user.
        """
        excludes = [()] * len(histories) if exclude is None else exclude
        if len(excludes) != len(histories):
            raise ConfigError(f"exclude has {len(excludes)} entries for {len(histories)} histories: give one for each.")
        allowed = None if candidates is None else list(candidates)
        requests = [self._request(*pair, allowed) for pair in zip(histories, excludes, strict=True)]
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
        nothing = np.empty(0, dtype=np.int64)
        requests = [_Request(np.asarray(history, dtype=np.int64), nothing) for history in histories]
        ranked = np.full((len(requests), k), -1, dtype=np.int64)
        for row, (items, _) in zip(ranked, self._rank(requests, k), strict=True):
            row[: len(items)] = items
        return ranked

    def _request(self, history: Iterable[Any], exclude: Iterable[Any], candidates: Iterable[Any] | None) -> _Request:
        unknown: dict[str, None] = {}
        seen = self._indices(history, "history", unknown)
        left_out = self._indices(exclude, "exclude", unknown)
        if candidates is not None:
            others = np.ones(self.n_items, dtype=bool)
            others[self._indices(candidates, "candidates", unknown)] = False
            left_out = np.concatenate([left_out, np.flatnonzero(others)])
        return _Request(seen, left_out, tuple(unknown))

    def _indices(self, items: Iterable[Any], name: str, unknown: dict[str, None]) -> np.ndarray:
        """The indices of the known ids; the others are added to ``unknown``, which keeps their order."""
        if isinstance(items, str | bytes):
            raise DataError(f"{name} is the string {items!r}: give a list of item ids, such as [{items!r}].")
        known = []
        for item in map(str, items):
            index = self._index.get(item)
            if index is None:
                unknown[item] = None
            else:
                known.append(index)
        return np.array(known, dtype=np.int64)

    def _answer(self, requests: Sequence[_Request], k: int) -> list[Recommendations]:
        return [
            Recommendations(
                (
                    Recommendation(self.item_ids[item], score, self._title(item))
                    for item, score in zip(items.tolist(), scores, strict=True)
                ),
                unknown=request.unknown,
                fallback=not len(request.history),
            )
            for request, (items, scores) in zip(requests, self._rank(requests, k), strict=True)
        ]

    def _rank(self, requests: Sequence[_Request], k: int) -> list[tuple[np.ndarray, Sequence[float | None]]]:
        """Item indices and scores for each request, by the model or by popularity."""
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1.")
        answers: list[tuple[np.ndarray, Sequence[float | None]]] = [self._popular(request, k) for request in requests]
        asked = [place for place, request in enumerate(requests) if len(request.history)]
        for places in self._portions(asked):
            rows = self._run([requests[place] for place in places], k)
            for place, row in zip(places, rows, strict=True):
                answers[place] = row
        return answers

    def _portions(self, places: list[int]) -> Iterator[list[int]]:
        size = max(1, min(256, SCORES_AT_ONCE // self.n_items))
        return (places[start : start + size] for start in range(0, len(places), size))

    def _popular(self, request: _Request, k: int) -> tuple[np.ndarray, Sequence[None]]:
        if len(request.history):
            return request.history[:0], ()
        order = self._catalogue.popularity
        left_out = np.zeros(self.n_items, dtype=bool)
        left_out[request.exclude] = True
        items = order[~left_out[order]][:k].astype(np.int64)
        return items, (None,) * len(items)

    def _run(self, requests: list[_Request], k: int) -> Iterator[tuple[np.ndarray, Sequence[float | None]]]:
        window = self.manifest.max_length
        recent = [request.history[-window:] for request in requests]
        # What the model does not read is still filtered as seen.
        older = [np.concatenate([request.history[:-window], request.exclude]) for request in requests]
        length = np.array([len(history) for history in recent], dtype=np.int64)
        items, scores = self.backend.run(
            _pad(recent, 0), length, _pad(older, -1), np.array([min(k, self.n_items)], dtype=np.int64)
        )
        for row, row_scores in zip(items, scores, strict=True):
            real = row >= 0
            yield row[real], row_scores[real].tolist()

    def _title(self, index: int) -> str | None:
        return None if self._catalogue.titles is None else self._catalogue.titles[index]


def _pad(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """int64 ``[B, longest row, at least 1]``."""
    width = max(1, *(len(row) for row in rows))
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
