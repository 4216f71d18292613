"""Make the parts of a speed row: identity, times, quality, and memory and cold start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lightrec.benchmarks.agreement import agreement, compared, quality
from lightrec.benchmarks.harness import scenarios
from lightrec.benchmarks.harness.harness import Harness, Running
from lightrec.benchmarks.harness.latency_statistics import histogram, per_second, speedup, summarise
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import NewRow


def identity(one: Running) -> NewRow:
    """Return what was measured, and the versions of what runs it outside this environment."""
    variant = one.variant
    return {
        "kind": "speed",
        "variant": variant.name,
        "backend": variant.backend,
        "precision": variant.precision,
        "device": variant.device,
        "size_bytes": variant.size_bytes,
        "load_ms": one.worker.facts.get("load_ms"),
        "versions": one.worker.facts.get("versions"),
    }


def times(one: Running, first: Running) -> NewRow:
    """Return latency, throughput, CPU time and energy from the rounds."""
    timings, reference = one.timings.nanoseconds, first.timings.nanoseconds
    latency = {
        name: summarise(timings[probe])
        | {
            "speedup": {"over": first.variant.name, **speedup(reference[probe], timings[probe])},
            "histogram": histogram(timings[probe]),
            "warmup": one.timings.warmups[probe],
        }
        for name, probe in (("recommend", "single"), ("graph", "graph"))
        if probe in timings and probe in reference
    }
    batches = {probe.split()[1]: probe for probe in timings if probe.startswith("batch")}
    per = {size: per_second(timings[probe], int(size)) for size, probe in batches.items()}
    session = None
    if "session" in timings:
        found = summarise(timings["session"])
        session = {name: found[name] for name in ("p50", "p90", "p99", "count")}
        session["incremental"] = one.worker.facts["incremental"]
    return {
        "latency_ms": {"recommend": latency["recommend"], "graph": latency.get("graph")},
        "per_second": {"1": per_second(timings["single"], 1), **per},
        "cpu_ms_per_call": float(np.median(one.timings.cpu_ms)),
        "energy_mj_per_call": float(np.median(one.timings.energy_mj)) if one.timings.energy_mj else None,
        "session_ms": session,
    }


def agreement_and_quality(harness: Harness, running: Sequence[Running], plan: Plan) -> list[NewRow]:
    """Return agreement and quality of each variant; None for peers."""
    first = running[0]
    reference = harness.rankings(first.variant)
    measured: list[NewRow | None] = []
    for one in running:
        lists = harness.rankings(one.variant)
        measured.append(
            None if lists is None else quality(lists, harness.workload, harness.manifest.n_items, plan.k, plan.seed)
        )
    rows: list[NewRow] = []
    for one, own in zip(running, measured, strict=True):
        lists = harness.rankings(one.variant)
        if lists is None or reference is None:
            rows.append({"agreement": None, "quality": None})
            continue
        golden, same = one.worker.facts["golden"], not one.variant.of_another_bundle
        shared = agreement(lists, reference, first.variant.name, golden, plan.k, same_student=same)
        rows.append({"agreement": shared, "quality": compared(own, measured[0], shared, plan.k)})
    return rows


def memory_and_cold_start(
    harness: Harness, running: Sequence[Running], plan: Plan, progress: Callable[[str], None]
) -> list[tuple[NewRow, str | None]]:
    """Measure memory and cold start in new processes; return each with the reason of a failure."""
    commands = [harness.cold_command(one.variant) for one in running]
    names = [one.variant.name for one in running]
    found = scenarios.cold(commands, plan, progress, names)
    return [(_memory_and_start(own, plan), own.failure) for own in found]


def _memory_and_start(own: scenarios.Starts, plan: Plan) -> NewRow:
    peak, held = (_median(own.memory, name) for name in ("peak_bytes", "rss_bytes"))
    # The system counts memory in batches, so the peak may be slightly below the current value.
    peak = None if peak is None else max(peak, held or 0)
    start = None
    if own.milliseconds and plan.asks_for("cold-start"):
        timings = own.milliseconds
        spread = {"median": float(np.median(timings)), "low": min(timings), "high": max(timings)}
        start = {"ms": spread, "peak_bytes": peak, "starts": len(timings)}
    return {"memory_bytes": {"peak": peak, "steady": held}, "cold_start": start}


def _median(memory: Sequence[NewRow], name: str) -> int | None:
    """Return the median in bytes; None without a new process, or if the system does not report it."""
    found = [held[name] for held in memory]
    return None if not found or None in found else int(np.median(found))
