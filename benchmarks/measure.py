"""Measure every way to run a bundle on this machine, interleaved in one run, with the quality of each."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightrec.benchmarks import speed_rows
from lightrec.benchmarks.harness import scenarios
from lightrec.benchmarks.harness.catalogue_scaling import catalogue_rows
from lightrec.benchmarks.harness.energy import EnergyMeter
from lightrec.benchmarks.harness.harness import Harness, Running
from lightrec.benchmarks.harness.noise import NoiseMeter
from lightrec.benchmarks.harness.thread_scaling import scaling
from lightrec.benchmarks.harness.workload import Workload, real_workload, synthetic_workload
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import machine, software
from lightrec.benchmarks.teacher_quality import ask_teacher, compare_with_teacher
from lightrec.benchmarks.variants.find_variants import Wanted, find_variants
from lightrec.benchmarks.variants.variant import Absent, Variant
from lightrec.bundle import read_catalogue, read_manifest
from lightrec.errors import BundleError, ConfigError, ModelError

Progress = Callable[[str], None]


def bench(
    bundle: str | Path,
    data: str | Path | None = None,
    wanted: Wanted | None = None,
    *,
    plan: Plan | None = None,
    cases: int = 1000,
    command: Sequence[str] = (),
    progress: Progress = lambda step: None,
) -> list[NewRow]:
    """Measure every model of a bundle, and the torch student that it was made from, on the same histories.

    Args:
        bundle: the bundle.
        data: the prepared data set, whose test users' histories are used. Without it, histories are synthetic and
            quality is not measured.
        wanted: what to measure besides the bundle's own models, and on which device.
        plan: what to measure, and for how long.
        cases: the maximum number of histories to use.
        command: the words of the command line, for the rows.
        progress: called with a few words at the beginning of each step.

    Returns:
        One row for each variant, ready for JSON, as described in docs/bench.md.

    Raises:
        ConfigError: if a number is out of range, or a teacher is requested without ``data``.
        BundleError: if the bundle cannot be read, or none of its variants runs here.
        ModelError: if the run or ``data`` is not what the bundle was made from, or the teacher is of other data.
    """
    if cases < 1:
        raise ConfigError(f"--cases is {cases}: at least one history is needed.")
    begin, plan, bundle = time.monotonic(), plan or Plan(), Path(bundle)
    manifest, wanted = read_manifest(bundle), wanted or Wanted()
    found = find_variants(bundle, manifest, wanted)
    variants = [variant for variant in found if isinstance(variant, Variant)]
    absent = [variant for variant in found if isinstance(variant, Absent)]
    if not variants:
        raise BundleError(
            f"Nothing in {bundle} runs here ({'; '.join(f'{a.name}: {a.reason}' for a in absent if a.requested)})."
        )
    catalogue = read_catalogue(bundle, manifest)
    if data is None:
        workload = synthetic_workload(manifest, catalogue, cases, plan.seed)
    else:
        workload = real_workload(data, bundle, manifest, catalogue, cases, plan.seed)
    teacher = None
    if wanted.teacher is not None:
        # Run the teacher before anything is timed: it needs all cores, and a failure wastes no measurement.
        teacher = ask_teacher(wanted.teacher, data, bundle, manifest, workload, plan.k, plan.seed, progress)
    context = {
        "bundle": bundle.resolve().name,
        "model_type": manifest.model_type,
        "n_items": manifest.n_items,
        "data": workload.to_json(),
        "teacher": teacher,
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
    rows = measure_variants(variants, bundle, workload, plan, progress)
    compare_with_teacher(rows, teacher, plan.k)
    if plan.catalogue_sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += catalogue_rows(manifest, plan, Path(folder), progress)
    rows += [variant.to_json() for variant in absent]
    if not any(row["kind"] == "speed" for row in rows):
        reason = next(f"{row['variant']}: {row['reason']}" for row in rows if row["kind"] == "absent")
        raise BundleError(f"Nothing in {bundle} runs here ({reason}).")
    # The rows of the variants hold the noise of the whole run.
    shared = {"noise": next(row["noise"] for row in rows if row["kind"] == "speed")}
    shared["elapsed_seconds"] = round(time.monotonic() - begin, 1)
    return [{**context, **row, **shared} for row in rows]  # a catalogue's row overrides the size and the histories


def measure_variants(
    variants: Sequence[Variant],
    bundle: Path,
    workload: Workload,
    plan: Plan,
    progress: Progress = lambda step: None,
) -> list[NewRow]:
    """Measure the variants: one row each, in the order given; the others are compared with the first.

    A variant whose worker fails before the rounds are over becomes a row of kind ``absent``. A later failure is named
    in the variant's row. The other variants continue.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        harness = Harness(bundle, workload, plan, folder)
        processes: list[int] = []
        noise = NoiseMeter(processes, plan.limits.cores)
        running: list[Running] = []
        failed: list[NewRow] = []
        for variant in variants:
            progress(f"Loading {variant.name}")
            try:
                worker = stack.enter_context(harness.start_worker(variant))
                processes += [worker.process, *worker.facts.get("processes", [])]
                progress(f"Warming up {variant.name}")
                running.append(Running(variant, worker, scenarios.warm(worker, plan)))
            except ModelError as error:
                failed.append(Absent(variant.name, str(error)).to_json())
        progress(f"Timing {len(running)} variants, interleaved")
        workers, timings = [one.worker for one in running], [one.timings for one in running]
        scenarios.rounds(workers, timings, plan, len(workload.histories), noise, EnergyMeter())
        failed += [Absent(one.label, one.failure).to_json() for one in workers if one.failure is not None]
        left = [one for one in running if one.worker.failure is None]
        if not left:
            return failed
        rows = _measure(harness, left, plan, noise, progress)
        report = noise.report()
    return [{**row, "noise": report} for row in rows] + failed


def _measure(
    harness: Harness, running: Sequence[Running], plan: Plan, noise: NoiseMeter, progress: Progress
) -> list[NewRow]:
    """Build the rows of the variants that completed the rounds, including what is measured after the rounds."""
    rows = [speed_rows.identity(one) | {"k": plan.k} | speed_rows.times(one, running[0]) for one in running]
    for row, agreement_and_quality in zip(rows, speed_rows.agreement_and_quality(harness, running, plan), strict=True):
        row |= agreement_and_quality | {"failed": {}}
    _add_scenarios(rows, running, plan, noise, progress)
    memory_and_cold_start = speed_rows.memory_and_cold_start(harness, running, plan, progress)
    for row, one, (found, failure) in zip(rows, running, memory_and_cold_start, strict=True):
        row |= found
        row["failed"] |= {"cold-start": failure} if failure else {}
        row["threads_scaling"] = None
        if plan.scaling and not one.variant.peer and one.variant.device == "CPU":
            progress(f"{one.variant.name} with more threads")
            try:
                row["threads_scaling"] = scaling(harness, one, plan)
            except ModelError as error:
                row["failed"]["threads"] = str(error)
    return rows


def _add_scenarios(
    rows: Sequence[NewRow], running: Sequence[Running], plan: Plan, noise: NoiseMeter, progress: Progress
) -> None:
    """Add streams, server and soak to the rows."""
    workers = [one.worker for one in running]
    means = [row["latency_ms"]["recommend"]["mean"] for row in rows]
    requested: dict[str, tuple[str, Callable[[], Sequence[Any]]]] = {
        "multi-stream": ("streams", lambda: scenarios.streams(workers, plan)),
        "server": ("server", lambda: scenarios.server(workers, means, plan)),
        "soak": ("soak", lambda: scenarios.soak(workers, plan)),
    }
    for scenario, (field, measure) in requested.items():
        if not plan.asks_for(scenario):
            for row in rows:
                row[field] = None
            continue
        progress(f"Measuring {scenario}")
        noise.sample()
        for row, worker, found in zip(rows, workers, measure(), strict=True):
            row[field] = found
            row["failed"] |= {scenario: worker.failure} if worker.failure else {}
