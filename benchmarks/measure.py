"""Measure a bundle: every way to run it on this machine, in one run, in turns, with the quality that each keeps."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks import scenarios
from lightrec.benchmarks.browser import browser_variants
from lightrec.benchmarks.catalogues import catalogue_rows
from lightrec.benchmarks.energy import EnergyMeter
from lightrec.benchmarks.fingerprint import fingerprint
from lightrec.benchmarks.kept import agreement, compared, quality
from lightrec.benchmarks.lab import Lab, Running
from lightrec.benchmarks.noise import NoiseMeter
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.rows import machine, software
from lightrec.benchmarks.scaling import scaling
from lightrec.benchmarks.timing import histogram, per_second, speedup, summarise
from lightrec.benchmarks.torch_backend import torch_variants
from lightrec.benchmarks.traffic import Traffic, real_traffic, synthetic_traffic
from lightrec.benchmarks.variants import Absent, Variant, bundle_variants, peer_variants
from lightrec.bundle import Manifest, read_catalogue, read_manifest
from lightrec.errors import BundleError, ConfigError, ModelError
from lightrec.runtime.doctor import diagnose

Row = dict[str, Any]
Progress = Callable[[str], None]


def bench(
    bundle: str | Path,
    data: str | Path | None = None,
    run: str | Path | None = None,
    *,
    plan: Plan | None = None,
    cases: int = 1000,
    device: str | None = None,
    compiled: bool = False,
    replay: Path | None = None,
    rectools: Path | None = None,
    sentences: bool = False,
    browser: bool = False,
    command: Sequence[str] = (),
    progress: Progress = lambda step: None,
) -> list[Row]:
    """Measure every model of a bundle, and the torch student that it was made from, on the same histories.

    Args:
        bundle: the bundle.
        data: the prepared data set; its test users are asked about. Without it histories are made up, and quality
            is not measured.
        run: the run folder that the bundle was exported from; its torch student becomes the first variant.
        plan: what is measured, and for how long.
        cases: most histories to use.
        device: only variants on this device; all devices if None.
        compiled: the torch student with torch.compile as well.
        replay: interpreter of an environment with RePlay, whose compiled SasRec is measured as well.
        rectools: interpreter of one with RecTools, likewise.
        sentences: a sentence encoder over the titles as well.
        browser: in headless Chromium as well.
        command: the words of the command line, for the rows.
        progress: called with a few words at the beginning of each step.

    Returns:
        One row for each variant, ready for JSON, as docs/bench.md tells them.

    Raises:
        ConfigError: if a number is out of range.
        BundleError: if the bundle cannot be read, or none of its variants runs here.
        ModelError: if ``run`` or ``data`` is not what the bundle was made from.
    """
    if cases < 1:
        raise ConfigError(f"--cases is {cases}: at least one history is needed.")
    plan, bundle = plan or Plan(), Path(bundle)
    manifest = read_manifest(bundle)
    found = _find_variants(bundle, manifest, run, device, compiled) + peer_variants(replay, rectools, sentences)
    found += browser_variants(bundle, manifest) if browser else []
    variants = [variant for variant in found if isinstance(variant, Variant)]
    absent = [variant for variant in found if isinstance(variant, Absent)]
    if not variants:
        raise BundleError(f"Nothing in {bundle} runs here ({'; '.join(f'{a.name}: {a.reason}' for a in absent)}).")
    catalogue = read_catalogue(bundle, manifest)
    if data is None:
        traffic = synthetic_traffic(manifest, catalogue, cases, plan.seed)
    else:
        traffic = real_traffic(data, bundle, manifest, catalogue, cases, plan.seed)
    context = {
        "bundle": bundle.resolve().name,
        "model_type": manifest.model_type,
        "n_items": manifest.n_items,
        "data": traffic.to_json(),
        "threads": plan.threads,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "scenarios": list(plan.scenarios),
        "limits": plan.limits.to_json(),
        "command": shlex.join(command or ["lightrec", "bench", str(bundle)]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **software(),
        "machine": machine(),
    }
    rows = measure_variants(variants, bundle, traffic, plan, progress)
    if plan.catalogue_sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += catalogue_rows(manifest, plan, Path(folder), progress)
    rows += [{"kind": "absent", "variant": variant.name, "reason": variant.reason} for variant in absent]
    if all(row["kind"] == "absent" for row in rows):
        raise BundleError(f"Nothing in {bundle} runs here ({rows[0]['variant']}: {rows[0]['reason']}).")
    # The noise of the whole run stands in the rows of the variants.
    noise = next(row["noise"] for row in rows if row["kind"] == "speed")
    return [{**context, **row, "noise": noise} for row in rows]  # a catalogue's row has a size of its own


def measure_variants(
    variants: Sequence[Variant],
    bundle: Path,
    traffic: Traffic,
    plan: Plan,
    progress: Progress = lambda step: None,
) -> list[Row]:
    """The measurements alone: one row for each variant in the order given; the first is what others compare with.

    A variant whose worker fails becomes a row of kind ``absent``.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = Lab(bundle, traffic, plan, folder)
        processes: list[int] = []
        noise = NoiseMeter(processes, plan.limits.cores)
        running: list[Running] = []
        failed: list[Row] = []
        for variant in variants:
            progress(f"Loading {variant.name}")
            try:
                contestant = stack.enter_context(lab.contestant(variant))
                processes += [contestant.process, *contestant.facts.get("processes", [])]
                progress(f"Warming up {variant.name}")
                running.append(Running(variant, contestant, scenarios.warm(contestant, plan)))
            except ModelError as error:
                failed.append({"kind": "absent", "variant": variant.name, "reason": str(error)})
        if not running:
            return failed
        rows = _measure(lab, running, plan, noise, progress)
        report = noise.report()
    return [{**row, "noise": report} for row in rows] + failed


def _measure(lab: Lab, running: Sequence[Running], plan: Plan, noise: NoiseMeter, progress: Progress) -> list[Row]:
    """The rows of the variants that run."""
    progress(f"Timing {len(running)} variants in turns")
    workers, taken = [one.worker for one in running], [one.taken for one in running]
    scenarios.rounds(workers, taken, plan, len(lab.traffic.histories), noise, EnergyMeter())
    rows = [_identity(one) | {"k": plan.k} | _times(one, running[0], plan) for one in running]
    means = [row["latency_ms"]["recommend"]["mean"] for row in rows]
    for row, kept in zip(rows, _kept(lab, running, plan), strict=True):
        row |= kept
    asked: dict[str, Callable[[], Sequence[Any]]] = {
        "multi-stream": lambda: scenarios.streams(workers, plan),
        "server": lambda: scenarios.server(workers, means, plan),
        "soak": lambda: scenarios.soak(workers, plan),
    }
    for scenario, field in (("multi-stream", "streams"), ("server", "server"), ("soak", "soak")):
        if plan.asks_for(scenario):
            progress(f"Measuring {scenario}")
            noise.sample()
        measured = asked[scenario]() if plan.asks_for(scenario) else [None] * len(rows)
        for row, value in zip(rows, measured, strict=True):
            row[field] = value
    for row, one, fresh in zip(rows, running, _fresh(lab, running, plan, progress), strict=True):
        row |= fresh
        row["threads_scaling"] = None
        if plan.scaling and not one.variant.peer and one.variant.device == "CPU":
            progress(f"{one.variant.name} with more threads")
            row["threads_scaling"] = scaling(lab, one, plan)
    return rows


def _identity(one: Running) -> Row:
    variant = one.variant
    return {
        "kind": "speed",
        "variant": variant.name,
        "backend": variant.backend,
        "precision": variant.precision,
        "device": variant.device,
        "size_bytes": variant.size_bytes,
        "load_ms": one.worker.facts.get("load_ms"),
    }


def _times(one: Running, first: Running, plan: Plan) -> Row:
    """What the rounds told."""
    taken, reference = one.taken.nanoseconds, first.taken.nanoseconds
    latency = {
        name: summarise(taken[probe])
        | {
            "speedup": {"over": first.variant.name, **speedup(reference[probe], taken[probe])},
            "histogram": histogram(taken[probe]),
            "warmup": one.taken.warmups[probe],
        }
        for name, probe in (("recommend", "single"), ("graph", "graph"))
        if probe in taken and probe in reference
    }
    batches = {probe.split()[1]: probe for probe in taken if probe.startswith("batch")}
    per = {size: per_second(taken[probe], int(size)) for size, probe in batches.items()}
    session = None
    if "session" in taken:
        found = summarise(taken["session"])
        session = {name: found[name] for name in ("p50", "p90", "p99", "count")}
        session["incremental"] = one.worker.facts["incremental"]
    return {
        "latency_ms": {"recommend": latency["recommend"], "graph": latency.get("graph")},
        "per_second": {"1": per_second(taken["single"], 1), **per},
        "cpu_ms_per_call": float(np.median(one.taken.cpu_ms)),
        "energy_mj_per_call": float(np.median(one.taken.energy_mj)) if one.taken.energy_mj else None,
        "session_ms": session,
    }


def _kept(lab: Lab, running: Sequence[Running], plan: Plan) -> list[Row]:
    """Agreement and quality of what was timed; None for peers."""
    first = running[0]
    reference = lab.rankings(first.variant)
    measured: list[Row | None] = []
    for one in running:
        lists = lab.rankings(one.variant)
        measured.append(None if lists is None else quality(lists, lab.traffic, lab.manifest.n_items, plan.k, plan.seed))
    rows: list[Row] = []
    for one, own in zip(running, measured, strict=True):
        lists = lab.rankings(one.variant)
        if lists is None or reference is None:
            rows.append({"agreement": None, "quality": None})
            continue
        shared = agreement(lists, reference, first.variant.name, one.worker.facts["golden"], plan.k)
        rows.append({"agreement": shared, "quality": compared(own, measured[0], shared, plan.k)})
    return rows


def _fresh(lab: Lab, running: Sequence[Running], plan: Plan, progress: Progress) -> list[Row]:
    """Memory and cold start, of processes that are used for nothing else."""
    commands = [lab.cold_command(one.variant) for one in running]
    names = [one.variant.name for one in running]
    return [
        _memory_and_start(memory or [{"peak_bytes": one.worker.facts["peak_bytes"], "rss_bytes": None}], times, plan)
        for one, (times, memory) in zip(running, scenarios.cold(commands, plan, progress, names), strict=True)
    ]


def _memory_and_start(memory: Sequence[Row], times: Sequence[float], plan: Plan) -> Row:
    peaks, steady = ([held[name] for held in memory] for name in ("peak_bytes", "rss_bytes"))
    held = None if None in steady else int(np.median(steady))
    # The system counts in batches: the peak may stand a little below what is held just then.
    peak = None if None in peaks else max(int(np.median(peaks)), held or 0)
    start = None
    if times and plan.asks_for("cold-start"):
        spread = {"median": float(np.median(times)), "low": min(times), "high": max(times)}
        start = {"ms": spread, "peak_bytes": peak, "starts": len(times)}
    return {"memory_bytes": {"peak": peak, "steady": held}, "cold_start": start}


def _find_variants(
    bundle: Path, manifest: Manifest, run: str | Path | None, device: str | None, compiled: bool
) -> list[Variant | Absent]:
    """The torch student first, if it is asked for; then the bundle's models, and what is absent."""
    here = diagnose()
    found = bundle_variants(bundle, manifest, here, device)
    if run is None:
        return [*found, Absent("torch", "give the run that the bundle was exported from with --run")]
    devices = [name for name in ("CPU", "CUDA") if device is None or device.upper() == name]
    if device is None and not fingerprint()["gpus"]:
        devices.remove("CUDA")
    return [*torch_variants(Path(run), bundle, manifest, compiled=compiled, devices=devices), *found]
