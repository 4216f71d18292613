"""Run one variant of a bundle; the worker of :mod:`lightrec.benchmarks.measure`.

The request file names the bundle and how to open it: ``backend``, ``precision``, ``device`` and ``providers`` as of
:meth:`Recommender.load`, or ``run`` for the torch student, ``compiled`` or not.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lightrec.benchmarks.workers.worker_protocol import (
    Call,
    chunks,
    own_channel,
    peak_bytes,
    resident_bytes,
    say,
    serve,
)
from lightrec.runtime.recommender import Recommender
from lightrec.runtime.requests import NO_ITEMS, Request

LOADS = 3
"""How many times a variant is loaded; the median counts. One more load before these imports the runtime."""

Load = Callable[[], Recommender]


def main() -> None:
    """Answer the tasks of the request file."""
    channel = own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answer(channel, request, lambda: open_variant(request))


def answer(channel: TextIO, request: dict[str, Any], load: Load) -> None:
    """Load with ``load``, then answer tasks or, for a cold start, only the first histories."""
    if "first_histories" in request:
        _start_cold(channel, load, request["first_histories"], request["k"])
        return
    recommender, load_ms = _load(load)
    histories = np.load(request["histories"])
    indices = np.split(histories, np.load(request["cuts"]))
    facts: dict[str, Any] = {"load_ms": load_ms}
    if request["check"]:
        ranked = recommender.top_k(indices, request["rank_limit"])
        np.save(request["rankings"], ranked)
        facts["golden"] = golden_problem(recommender, Path(request["bundle"])) if request["golden"] else None
        facts["incremental"] = recommender.session().incremental
    serve(channel, make_calls(recommender, indices, request["k"], request["batches"]), facts)


def open_variant(request: dict[str, Any]) -> Recommender:
    """Load the recommender that a request describes."""
    if "run" in request:
        from lightrec.benchmarks.variants.torch_student import load_torch

        return load_torch(request)
    named = ("backend", "precision", "device", "providers")
    options = {name: request[name] for name in named if request.get(name) is not None}
    # Do not use compiled models that earlier runs may have left.
    return Recommender.load(request["bundle"], threads=request["threads"], cache=False, **options)


def make_calls(recommender: Recommender, histories: list[np.ndarray], k: int, batches: list[int]) -> dict[str, Call]:
    """Make the timed calls: raw ids to titles for one history and for batches, the graph alone, a session."""
    ids, requests = recommender.item_ids, [Request(history, NO_ITEMS) for history in histories]
    raw = [[ids[item] for item in history] for history in histories]
    inputs = [recommender.ranker.graph_inputs([request], k) for request in requests]
    calls: dict[str, Call] = {
        "single": (lambda history: recommender.recommend(history, k), raw),
        "graph": (lambda request: recommender.backend.run(*request), inputs),
        "session": (SessionCall(recommender, k), session_steps(raw)),
    }
    for size in batches:
        calls[f"batch {size}"] = (lambda batch: recommender.recommend_batch(batch, k), chunks(raw, size))
    return calls


class SessionCall:
    """Add one item to a session and recommend; a step may begin a new session."""

    def __init__(self, recommender: Recommender, k: int):
        self.recommender, self.k = recommender, k
        self.session = recommender.session()

    def __call__(self, step: tuple[bool, str]) -> object:
        """A step: whether it is the first of its history, and the item."""
        begins, item = step
        if begins:
            self.session = self.recommender.session()
        self.session.add(item)
        return self.session.recommend(self.k)


def session_steps(histories: list[list[str]]) -> list[tuple[bool, str]]:
    """Split every history into steps of one item."""
    return [(place == 0, item) for history in histories for place, item in enumerate(history)]


def golden_problem(recommender: Recommender, bundle: Path) -> str | None:
    """Return what is wrong with the answers to the golden cases; None if nothing is."""
    from lightrec.bundle import read_golden
    from lightrec.verify.compare import compare

    cases, tolerance = read_golden(bundle)
    for case in cases:
        request = Request(np.array(case.history, dtype=np.int64), np.array(case.exclude, dtype=np.int64))
        items, scores = recommender.ranker.rank([request], case.k)[0]
        problem = compare(case, np.asarray(items), np.asarray(scores, dtype=np.float64), tolerance)
        if problem is not None:
            return problem
    return None


def _load(load: Load) -> tuple[Recommender, float]:
    recommender, timings = load(), []
    for _ in range(LOADS):
        begin = time.perf_counter_ns()
        recommender = load()
        timings.append(time.perf_counter_ns() - begin)
    return recommender, float(np.median(timings)) / 1e6


def _start_cold(channel: TextIO, load: Load, histories: list[list[str]], k: int) -> None:
    """Report the first answer, then answer the others and report the memory."""
    recommender = load()
    recommender.recommend(histories[0], k)
    say(channel, {"answered": True})
    for history in histories:
        recommender.recommend(history, k)
    say(channel, {"peak_bytes": peak_bytes(), "rss_bytes": resident_bytes()})


if __name__ == "__main__":
    main()
