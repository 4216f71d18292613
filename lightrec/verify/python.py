"""Replay golden cases in Python: through the inference graph, item by item, and as candidates."""

from __future__ import annotations

import numpy as np

from lightrec.bundle import GoldenCase
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.parts import Parts


def replay(backend: Backend, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    """Return the items and scores of the inference graph, given the whole history."""
    items, scores = backend.run(
        np.array([case.history], dtype=np.int64),
        np.array([len(case.history)], dtype=np.int64),
        np.array([case.exclude or [-1]], dtype=np.int64),
        np.array([case.k], dtype=np.int64),
    )
    return items[0], scores[0]


def replay_in_steps(parts: Parts, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    """Return the items and scores after the history was read item by item, as a session reads it."""
    history = np.array(case.history, dtype=np.int64)
    past = parts.start()
    for position in range(len(history)):
        state, past = parts.step(history[position : position + 1], past)
    length, exclude = np.array([len(history)], dtype=np.int64), np.array([case.exclude or [-1]], dtype=np.int64)
    items, scores = parts.score(state, history[None], length, exclude, np.array([case.k], dtype=np.int64))
    return items[0], scores[0]


def replay_candidates(parts: Parts, case: GoldenCase) -> tuple[np.ndarray, np.ndarray]:
    """Return the recorded items, in their recorded order, with their scores by the graph for few candidates."""
    history, items = np.array(case.history, dtype=np.int64), np.array(case.items, dtype=np.int64)
    if not len(items):
        return items, np.empty(0, dtype=np.float32)
    state, _ = parts.step(history, parts.start())
    return items, parts.score_candidates(state, history, items)
