"""Rank items by index: batches, few candidates, boosts, and popularity if the history has no known item."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lightrec.bundle import ITEMS, PACKED_ITEMS, Manifest
from lightrec.runtime.arguments import whole_number
from lightrec.runtime.backends.base import Backend, Inputs
from lightrec.runtime.boosts import boosted_rankings
from lightrec.runtime.hide_seen_items import items_to_exclude, remaining_candidates
from lightrec.runtime.requests import NO_ITEMS, Ranking, Request

MAX_USERS_PER_RUN = 32
"""The most users in one run of the graph: more gain no speed, and histories of unequal length cost padding."""

MAX_SCORES_PER_RUN = 2**24
"""The most scores, users times items, in one run of the graph (64 MiB)."""


class Ranker:
    """Ranks the items of a loaded bundle by index; safe to use from several threads at once."""

    def __init__(self, manifest: Manifest, popularity: np.ndarray, backend: Backend, reopen: Callable[[], Backend]):
        """Wrap a loaded model.

        Args:
            manifest: the bundle's manifest.
            popularity: int32 ``[N]``, item indices, most popular first.
            backend: the model.
            reopen: opens the model again in a process that was forked after its runtime had started threads.
        """
        self.manifest = manifest
        self.window = manifest.max_length
        """The maximum number of items of a history that the model reads."""
        self.model_file = backend.record.files[0]
        """The name of the model's first file, for messages."""
        self._n_items = manifest.n_items
        self._popularity = popularity
        self._backend = backend
        self._reopen = reopen

    @property
    def backend(self) -> Backend:
        """The loaded model."""
        if self._backend.lost:
            self._backend = self._reopen()
        return self._backend

    @functools.cached_property
    def state_key(self) -> str:
        """SHA-256 of the model, its parts and the ids: a session's state is valid only for these."""
        files, record = self.manifest.files, self.backend.record
        names = [*record.files, *record.parts.values(), *sorted({ITEMS, *PACKED_ITEMS} & set(files))]
        return hashlib.sha256("\n".join(files[name].sha256 for name in names).encode()).hexdigest()

    def rank(self, requests: Sequence[Request], k: int) -> list[Ranking]:
        """Rank the items for each request, by the model or by popularity; ignore boosts."""
        found: list[Ranking | None] = [None] * len(requests)
        for position, ranking in self.rank_as_completed(requests, k):
            found[position] = ranking
        return found  # type: ignore[return-value]

    def rank_boosted(self, requests: Sequence[Request], k: int) -> list[Ranking]:
        """Rank the items for each request, with its boosts added to the scores."""
        return boosted_rankings(self.rank, requests, whole_number(k))

    def rank_as_completed(self, requests: Sequence[Request], k: int) -> Iterator[tuple[int, Ranking]]:
        """Rank as :meth:`rank` does; yield each ranking with its request's position as soon as it is computed."""
        k = whole_number(k)
        if len(requests) == 1:
            ranking = self._rank_without_graph(requests[0], k)
            yield 0, ranking or next(ranking_rows(*self.backend.run(*self.graph_inputs(requests, k))))
            return
        for_graph = []
        for position, request in enumerate(requests):
            ranking = self._rank_without_graph(request, k)
            if ranking is None:
                for_graph.append(position)
            else:
                yield position, ranking
        # Histories of similar length share a run, since each run is padded to its longest. The longest come first, so
        # that threads end at about the same time.
        for_graph.sort(key=lambda position: -min(len(requests[position].history), self.window))
        runs = list(self._runs(for_graph))
        inputs = (self.graph_inputs([requests[position] for position in positions], k) for positions in runs)
        # A single run may use all threads itself.
        answers = self.backend.run_many(inputs) if len(runs) > 1 else (self.backend.run(*one) for one in inputs)
        for positions, answer in zip(runs, answers, strict=True):
            yield from zip(positions, ranking_rows(*answer), strict=True)

    def rank_candidates(self, state: np.ndarray, request: Request, k: int) -> Ranking:
        """Rank a request's candidates with the graph for few candidates.

        Args:
            state: float32 ``[1, d]``, the encoder's state after the history.
            request: a request with candidates.
            k: how many items to return.
        """
        assert self.backend.parts is not None
        candidates = remaining_candidates(request)
        if not len(candidates):
            return NO_ITEMS, ()
        recent = request.history[-self.window :]
        scores = self.backend.parts.score_candidates(state, recent, candidates)
        best = np.argsort(-scores, kind="stable")[:k]  # candidates are sorted: at equal scores the lower index is first
        return candidates[best], scores[best].tolist()

    def graph_inputs(self, requests: Sequence[Request], k: int) -> Inputs:
        """Return ``history``, ``length``, ``exclude`` and ``k`` as :meth:`Backend.run` takes them."""
        window, n_items = self.window, self._n_items
        recent = [request.history[-window:] for request in requests]
        hidden = [items_to_exclude(request, window, n_items) for request in requests]
        length = np.array([len(history) for history in recent], dtype=np.int64)
        return _pad(recent, 0), length, _pad(hidden, -1), np.array([min(k, n_items)], dtype=np.int64)

    def _rank_without_graph(self, request: Request, k: int) -> Ranking | None:
        """Rank by popularity or with the graph for few candidates; return None if the inference graph must answer."""
        if not len(request.history):
            return self._rank_by_popularity(request, k)
        parts = self.backend.parts
        if request.candidates is None or parts is None or not parts.ready("step", "candidates"):
            return None
        state, _ = parts.step(request.history[-self.window :], parts.start())
        return self.rank_candidates(state, request, k)

    def _rank_by_popularity(self, request: Request, k: int) -> Ranking:
        order = self._popularity
        if request.candidates is None:
            order = order[: k + len(request.exclude)]  # at least k of them are not excluded
        else:
            order = order[np.isin(order, request.candidates)]
        items = order[~np.isin(order, request.exclude)][:k].astype(np.int64)
        return items, (None,) * len(items)

    def _runs(self, positions: list[int]) -> Iterator[list[int]]:
        size = max(1, min(MAX_USERS_PER_RUN, MAX_SCORES_PER_RUN // self._n_items))
        return (positions[start : start + size] for start in range(0, len(positions), size))


def ranking_rows(items: np.ndarray, scores: np.ndarray) -> Iterator[Ranking]:
    """Yield the rows of a graph's answer without their padding (item -1)."""
    for row, row_scores in zip(items, scores, strict=True):
        if row.size and row[-1] < 0:
            real = row >= 0
            row, row_scores = row[real], row_scores[real]
        yield row, row_scores.tolist()


def _pad(rows: Sequence[np.ndarray], value: int) -> np.ndarray:
    """Stack rows as int64 ``[B, longest row, at least 1]``, padded with ``value``."""
    if len(rows) == 1 and len(rows[0]):
        return rows[0][None]
    width = max(1, *(len(row) for row in rows))
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
