"""Sessions: a history that grows item by item, where each recommendation reads only the new items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lightrec.runtime.arguments import id_list, whole_number
from lightrec.runtime.backends.parts import Past
from lightrec.runtime.boosts import boosted_rankings
from lightrec.runtime.loaded_bundle import LoadedBundle
from lightrec.runtime.ranker import Ranker, ranking_rows
from lightrec.runtime.recommendations import Recommendations, look_up_recommendations
from lightrec.runtime.request_reader import RequestReader
from lightrec.runtime.requests import Ranking, Request


class Session:
    """One user's growing history; made by :meth:`Recommender.session`. Use it from one thread at a time.

    It gives the same answers as :meth:`Recommender.recommend` with the whole history. While the history has at most
    ``max_length`` known items, the model reads only the new ones. After that, each new item pushes the oldest one out
    of the window. Everything computed so far depends on that oldest item, so the whole window is read again.
    """

    def __init__(
        self,
        bundle: LoadedBundle,
        reader: RequestReader,
        history: Iterable[Any] = (),
        state: Mapping[str, np.ndarray] | None = None,
    ):
        self.incremental = bundle.ranker.backend.parts is not None
        """False if every recommendation reads the whole window, because the bundle has no graph for one step."""
        self._bundle = bundle
        self._reader = reader
        self._ids: list[str] = []  # including unknown ids, which another bundle may know
        self._history: list[int] = []
        self._unknown: dict[str, None] = {}
        self._past: Past = {}
        self._read = 0  # the number of known items that the past and the state include
        self._state: np.ndarray | None = None
        if state is not None:
            self._restore(state)
        self.extend(history)

    def __len__(self) -> int:
        """Return the number of known items in the history."""
        return len(self._history)

    def add(self, item: Any) -> None:
        """Append ``item`` to the history; an unknown one is skipped and reported by the next recommendation."""
        self.extend([item])

    def extend(self, items: Iterable[Any]) -> None:
        """Append several items to the history, oldest first."""
        ids = id_list(items, "history", ordered=True)
        self._history.extend(self._reader.indices(ids, "history", self._unknown).tolist())
        self._ids.extend(ids)

    def recommend(
        self,
        k: int = 10,
        exclude: Iterable[Any] = (),
        candidates: Iterable[Any] | None = None,
        boost: Mapping[Any, float] | None = None,
    ) -> Recommendations:
        """Return the items to show next; see :meth:`Recommender.recommend`."""
        k = whole_number(k)
        unknown = dict(self._unknown)
        history = np.array(self._history, dtype=np.int64)
        request = self._reader.read_rules(history, exclude, candidates, boost, unknown)
        ranking = boosted_rankings(self._rank_each, [request], k)[0] if request.boosts else self._rank(request, k)
        return look_up_recommendations(ranking, request, self._bundle.catalogue, self._ranker.model_file)

    def export(self) -> dict[str, np.ndarray]:
        """Return a few small arrays, without objects, from which :meth:`Recommender.session` can continue.

        ``numpy.savez`` writes them and ``numpy.load`` reads them. With another bundle, or another model of this
        bundle, all ids are looked up and read again, including those that this bundle does not know.
        """
        from lightrec.runtime.session_state import pack_state

        if self._state is None:
            return pack_state(self._ids, self._ranker.state_key)
        return pack_state(self._ids, self._ranker.state_key, self._read, self._state, self._past)

    @property
    def _ranker(self) -> Ranker:
        return self._bundle.ranker

    def _restore(self, state: Mapping[str, np.ndarray]) -> None:
        from lightrec.runtime.session_state import unpack_state

        restored = unpack_state(state, self._ranker, self._bundle.catalogue)
        self.extend(restored.ids)
        self._read, self._state, self._past = restored.read, restored.state, restored.past

    def _rank_each(self, requests: Sequence[Request], k: int) -> list[Ranking]:
        return [self._rank(request, k) for request in requests]

    def _rank(self, request: Request, k: int) -> Ranking:
        parts, scorer = self._ranker.backend.parts, "score" if request.candidates is None else "candidates"
        if parts is None or not len(request.history) or not parts.ready("step", scorer):
            return self._ranker.rank([request], k)[0]
        state = self._state_after(request.history)
        if request.candidates is not None:
            return self._ranker.rank_candidates(state, request, k)
        return next(ranking_rows(*parts.score(state, *self._ranker.graph_inputs([request], k))))

    def _state_after(self, history: np.ndarray) -> np.ndarray:
        """Return the encoder's state after the whole history; read only the items that it has not read yet."""
        parts, window = self._ranker.backend.parts, self._ranker.window
        assert parts is not None
        if self._state is not None and self._read == len(history):
            return self._state
        if len(history) <= window:
            self._state, self._past = parts.step(history[self._read :], self._past or parts.start())
        else:
            self._state, _ = parts.step(history[-window:], parts.start())
            self._past = {}  # it includes items that have left the window
        self._read = len(history)
        return self._state
