"""Golden cases: synthetic histories with the answers that a bundle must reproduce wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightrec.bundle import GoldenCase
from lightrec.runtime.backends.base import Backend
from lightrec.verify.compare import score_difference
from lightrec.verify.python import replay_candidates, replay_in_steps

N_CASES = 16
"""Number of golden cases in a bundle; their lengths go evenly from one item to the longest history."""

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-4, "int8": 1e-2, "int8-static": 1e-2, "int4": 1e-2}
"""Allowed difference of a score, relative to the largest golden score (at least 1). Another processor adds floats in
another order; in 8 bits the state is rounded as well, which can turn a tiny difference into a whole rounding step."""


def golden_cases(graph: Backend, counts: np.ndarray, max_length: int, k_limit: int, seed: int = 0) -> list[GoldenCase]:
    """Draw histories by popularity and record the answers of ``graph``.

    No real history is used: every item is drawn independently, so that a case reveals only which items are popular.
    Every fourth case excludes three items; the last asks for ``k_limit`` items, the others for ten.

    Args:
        graph: the exported model, which has passed the gate.
        counts: int ``[N]``, training events of each item.
        max_length: longest history to draw.
        k_limit: largest k of the bundle.
        seed: seed of the draw.
    """
    rng = np.random.default_rng(seed)
    weights = (counts + 1) / (counts + 1).sum()
    cases = []
    for number, length in enumerate(np.linspace(1, max_length, N_CASES).round().astype(int)):
        history = rng.choice(len(counts), length, p=weights)
        exclude = rng.choice(len(counts), 3, p=weights) if number % 4 == 3 else np.empty(0, dtype=np.int64)
        k = k_limit if number == N_CASES - 1 else min(10, k_limit)
        items, scores = answer(graph, history.tolist(), exclude.tolist(), k)
        real = items >= 0
        cases.append(GoldenCase(history.tolist(), exclude.tolist(), k, items[real].tolist(), scores[real].tolist()))
    return cases


def answer(graph: Backend, history: list[int], exclude: list[int], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the items ``[K]`` and scores ``[K]`` for one user."""
    inputs = ([history], [len(history)], [exclude or [-1]], [k])
    items, scores = graph.run(*(np.array(value, dtype=np.int64) for value in inputs))
    return items[0], scores[0]


def tolerance(cases: Sequence[GoldenCase], precision: str, graphs: Sequence[Backend]) -> float:
    """Return the allowed difference between a score and the recorded one.

    Args:
        cases: the golden cases.
        precision: see :data:`TOLERANCE`.
        graphs: the models of the bundle; the first is the one that answered the cases. The same cases check all of
            them, and their graphs for sessions and candidates, so the tolerance is at least four times the largest
            difference among them on this machine.
    """
    largest = max((abs(score) for case in cases for score in case.scores), default=0.0)
    apart = [score_difference(case, scores) for graph in graphs for case in cases for scores in _scores(graph, case)]
    return max(TOLERANCE[precision] * max(1.0, largest), 4 * max(apart, default=0.0))


def _scores(graph: Backend, case: GoldenCase) -> list[np.ndarray]:
    """Return the scores from each way to run a model: in one call, in steps, and with candidates."""
    parts = graph.parts
    found = [answer(graph, case.history, case.exclude, case.k)[1]]
    return found if parts is None else [*found, replay_in_steps(parts, case)[1], replay_candidates(parts, case)[1]]
