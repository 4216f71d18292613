"""Measure a bundle: the latency, throughput and size of all its variants in one run, and the quality they keep."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.rows import machine, software
from lightrec.benchmarks.timing import Probe, per_second, speedup, summarise, take_turns
from lightrec.benchmarks.torch_backend import torch_variant
from lightrec.benchmarks.traffic import Traffic, real_traffic, synthetic_traffic
from lightrec.benchmarks.turns import chunks
from lightrec.benchmarks.variants import Absent, Variant, bundle_variants
from lightrec.bundle import read_catalogue, read_manifest
from lightrec.errors import BundleError, ConfigError
from lightrec.evaluation.protocol import Scorer, TopKRanker, evaluate, shared_rules
from lightrec.runtime.recommender import Recommender

K = 10
"""Recommendations asked for in every call."""
BATCHES = (32, 256)
"""Batch sizes of the throughput, beside single requests."""
ROUNDS = 10
"""Turns of every variant at every probe."""
LOADS = 3
"""Times that a variant is loaded; the median counts. One load more goes before, to import the runtime."""

Progress = Callable[[str], None]


def bench(
    bundle: str | Path,
    data: str | Path | None = None,
    run: str | Path | None = None,
    *,
    cases: int = 1000,
    threads: int = 1,
    device: str | None = None,
    seconds: float = 5.0,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> list[dict[str, Any]]:
    """Measure every model of a bundle, and the torch student that it was made from, on the same histories.

    Args:
        bundle: the bundle.
        data: the prepared data set; its test users are asked about. Without it histories are made up, and quality
            is not measured.
        run: the run folder that the bundle was exported from; its torch student becomes the first variant.
        cases: most histories to use.
        threads: compute threads of each runtime.
        device: OpenVINO's; the CPU if None.
        seconds: time spent timing each variant.
        seed: of the drawn histories.
        progress: called with a few words at the beginning of each step.

    Returns:
        One row for each variant, ready for JSON: ``kind`` is ``speed``, or ``absent`` with a ``reason``.

    Raises:
        ConfigError: if a number is out of range.
        BundleError: if the bundle cannot be read, or none of its variants runs here.
        ModelError: if ``run`` or ``data`` is not what the bundle was made from.
    """
    _check(cases, threads, seconds)
    command = _command(bundle, data, run, cases=cases, threads=threads, device=device, seconds=seconds, seed=seed)
    bundle = Path(bundle)
    manifest = read_manifest(bundle)
    found = bundle_variants(bundle, manifest, threads, device)
    if run is not None:
        found.insert(0, torch_variant(Path(run), bundle, manifest, threads))
    variants = [variant for variant in found if isinstance(variant, Variant)]
    absent = [variant for variant in found if isinstance(variant, Absent)]
    if not variants:
        raise BundleError(f"Nothing in {bundle} runs here ({'; '.join(f'{a.name}: {a.reason}' for a in absent)}).")
    catalogue = read_catalogue(bundle, manifest)
    if data is None:
        traffic = synthetic_traffic(manifest, catalogue, cases, seed)
    else:
        traffic = real_traffic(data, bundle, manifest, catalogue, cases, seed)
    context = {
        "bundle": bundle.resolve().name,
        "model_type": manifest.model_type,
        "n_items": manifest.n_items,
        "data": traffic.to_json(),
        "threads": threads,
        "device": device or "CPU",
        "seconds": seconds,
        "seed": seed,
        "command": command,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **software(),
        "machine": machine(),
    }
    rows = measure_variants(variants, traffic, seconds=seconds, seed=seed, progress=progress)
    missing = [{"kind": "absent", "variant": variant.name, "reason": variant.reason} for variant in absent]
    return [row | context for row in (*rows, *missing)]


def measure_variants(
    variants: Sequence[Variant],
    traffic: Traffic,
    *,
    seconds: float,
    seed: int = 0,
    rounds: int = ROUNDS,
    progress: Progress = lambda step: None,
) -> list[dict[str, Any]]:
    """The measurements alone: one row for each variant, in the order given; the first is what others compare with."""
    loaded, load_times = [], []
    for variant in variants:
        progress(f"Loading {variant.name}")
        recommender, load_ms = _load(variant)
        loaded.append(recommender)
        load_times.append(load_ms)
    quality = _quality(variants, loaded, traffic, seed, progress)
    progress(f"Timing {len(variants)} variants in turns")
    taken = take_turns(_probes(loaded[0], traffic), loaded, seconds=seconds, rounds=rounds)
    return [
        {
            "kind": "speed",
            "variant": variant.name,
            "backend": variant.backend,
            "precision": variant.precision,
            "size_bytes": variant.size_bytes,
            "load_ms": load_ms,
            "k": K,
            "latency_ms": {
                name: summarise(own[name])
                | {"speedup": {"over": variants[0].name, **speedup(taken[0][name], own[name])}}
                for name in ("recommend", "graph")
            },
            "per_second": {"1": per_second(own["recommend"], 1)}
            | {str(batch): per_second(own[f"batch {batch}"], batch) for batch in BATCHES},
            "quality": measured,
        }
        for variant, load_ms, own, measured in zip(variants, load_times, taken, quality, strict=True)
    ]


def _load(variant: Variant) -> tuple[Recommender, float]:
    recommender, taken = variant.load(), []
    for _ in range(LOADS):
        begin = time.perf_counter_ns()
        recommender = variant.load()
        taken.append(time.perf_counter_ns() - begin)
    return recommender, float(np.median(taken)) / 1e6


def _probes(recommender: Recommender, traffic: Traffic) -> list[Probe]:
    """The whole call (raw ids in, titles out) for one history and for batches, and the graph alone for one."""
    ids, window = recommender.item_ids, recommender.manifest.max_length
    raw = [[ids[item] for item in history] for history in traffic.histories]
    graph_inputs = [_graph_inputs(history, window) for history in traffic.histories]
    batches = [Probe(f"batch {size}", size, chunks(raw, size), _recommend_batch) for size in BATCHES]
    return [Probe("recommend", 1, raw, _recommend), Probe("graph", 1, graph_inputs, _run_graph), *batches]


def _recommend(recommender: Recommender) -> Callable[[list[str]], object]:
    return lambda history: recommender.recommend(history, K)


def _recommend_batch(recommender: Recommender) -> Callable[[list[list[str]]], object]:
    return lambda histories: recommender.recommend_batch(histories, K)


def _run_graph(recommender: Recommender) -> Callable[[tuple[np.ndarray, ...]], object]:
    run = recommender.backend.run
    return lambda inputs: run(*inputs)


def _graph_inputs(history: np.ndarray, window: int) -> tuple[np.ndarray, ...]:
    """``history``, ``length``, ``exclude`` and ``k`` of one request, as the runtime makes them."""
    recent, older = history[-window:], history[:-window]
    exclude = older if len(older) else np.array([-1], dtype=np.int64)
    return recent[None, :], np.array([len(recent)], dtype=np.int64), exclude[None, :], np.array([K], dtype=np.int64)


def _quality(
    variants: Sequence[Variant], loaded: Sequence[Recommender], traffic: Traffic, seed: int, progress: Progress
) -> list[dict[str, Any] | None]:
    """HR@10 and NDCG@10 of every variant on the same cases under the same rules; None for made-up histories."""
    if traffic.cases is None or traffic.popularity is None:
        return [None] * len(variants)
    rankers: list[Scorer | TopKRanker] = [
        variant.ranker(recommender) for variant, recommender in zip(variants, loaded, strict=True)
    ]
    ties, rank_limit = shared_rules([*rankers, loaded[0]])
    found: list[dict[str, Any]] = []
    for variant, ranker in zip(variants, rankers, strict=True):
        progress(f"Ranking {len(traffic.cases):,} test cases with {variant.name}")
        result = evaluate(
            ranker,
            traffic.cases,
            train_popularity=traffic.popularity,
            ks=(K,),
            ties=ties,
            rank_limit=rank_limit,
            seed=seed,
        )
        values: dict[str, Any] = {name: result.metrics[name].to_json() for name in (f"ndcg@{K}", f"hr@{K}")}
        found.append({"cases": len(traffic.cases), "ties": ties, **values})
    reference = found[0][f"ndcg@{K}"]["value"]
    for row in found:
        row["compared_with"] = variants[0].name
        # Relative: 0.01 is one per cent lost. Without a hit there is nothing to lose.
        row["ndcg_drop"] = 1 - row[f"ndcg@{K}"]["value"] / reference if reference else None
    return list(found)


def _check(cases: int, threads: int, seconds: float) -> None:
    if cases < 1:
        raise ConfigError(f"--cases is {cases}: at least one history is needed.")
    if threads < 1:
        raise ConfigError(f"--threads is {threads}: it must be at least 1.")
    if not 0 < seconds <= 3600:
        raise ConfigError(f"--seconds is {seconds}: it must be above 0 and at most 3600.")


def _command(bundle: str | Path, data: str | Path | None, run: str | Path | None, **others: float | str | None) -> str:
    """The command line that measures the same."""
    paths = {"data": data, "run": run}
    options = {name: value for name, value in {**paths, **others}.items() if value is not None}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join(["lightrec", "bench", str(bundle), *words])
