"""Measure how latency grows with the catalogue, on random bundles of the model's shape."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.harness import Harness
from lightrec.benchmarks.harness.interleaved_timing import time_interleaved, warm_up
from lightrec.benchmarks.harness.latency_statistics import histogram, summarise
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.harness.workload import Workload, synthetic_workload
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.variants.variant import Absent, Variant, catalogue_bytes
from lightrec.bundle import Manifest, read_catalogue, read_manifest
from lightrec.errors import ModelError
from lightrec.extras import missing_modules

ROUNDS = 10
"""Time slices of each size."""
MAX_EXPORT_SECONDS = 3600.0
"""Seconds after which the exporter of a random bundle is killed."""
CASES = 500
"""Synthetic histories for each size."""


def catalogue_rows(manifest: Manifest, plan: Plan, folder: Path, progress: Callable[[str], None]) -> list[NewRow]:
    """Return a ``catalogue`` row for each size of the plan, or an ``absent`` row for one that fails.

    Args:
        manifest: the manifest of the bundle whose shape and history lengths the random bundles copy.
        plan: the sizes and the time.
        folder: where the bundles are written; the caller deletes it.
        progress: called with a few words before each longer step.
    """
    precision = next((model.precision for model in manifest.models if model.backend == "onnxruntime"), "int8")
    if missing_modules("export") or missing_modules("train"):
        missing = Absent(f"random bundles, {precision}", "not installed: pip install 'lightrec[export]'")
        return [missing.to_json()]
    failed: dict[int, str] = {}
    bundles: dict[int, Path] = {}
    running: dict[int, WorkerProcess] = {}
    workloads: dict[int, Workload] = {}
    seconds = plan.short_seconds / (2 * ROUNDS)
    with contextlib.ExitStack() as stack:
        for size in plan.catalogue_sizes:
            try:
                bundles[size] = _make(size, manifest, precision, folder, progress)
                workloads[size] = _workload(bundles[size], manifest, plan)
                harness = folder / f"size-{size}"
                worker = stack.enter_context(_worker(bundles[size], workloads[size], precision, plan, harness))
                warm_up(worker, "single", seconds)
                running[size] = worker
            except ModelError as error:
                failed[size] = str(error)
        progress("Timing catalogues, interleaved")
        entries = [(worker, "single") for worker in running.values()]
        timings = time_interleaved(entries, rounds=ROUNDS, seconds=seconds, stride=CASES // ROUNDS, tolerant=True)
        failed |= {size: worker.failure for size, worker in running.items() if worker.failure is not None}
    rows = [
        {
            "kind": "catalogue",
            "variant": _variant(bundles[size], precision).name,
            "precision": precision,
            "n_items": size,
            "size_bytes": _bytes(bundles[size]),
            "data": workloads[size].to_json(),
            "latency_ms": summarise(rounds) | {"histogram": histogram(rounds)},
        }
        for size, rounds in zip(running, timings, strict=True)
        if size not in failed
    ]
    absent = [Absent(f"random bundle of {size:,} items, {precision}", reason) for size, reason in failed.items()]
    return rows + [one.to_json() for one in absent]


def _workload(bundle: Path, manifest: Manifest, plan: Plan) -> Workload:
    """Make histories for a random bundle, as long as those of the original bundle."""
    own = dataclasses.replace(read_manifest(bundle), history_lengths=manifest.history_lengths)
    return synthetic_workload(own, read_catalogue(bundle, own), CASES, plan.seed)


def _worker(bundle: Path, workload: Workload, precision: str, plan: Plan, folder: Path) -> WorkerProcess:
    """Start a worker for a random bundle."""
    folder.mkdir()
    return Harness(bundle, workload, plan, folder).start_worker(_variant(bundle, precision), plan.threads, batches=())


def _variant(bundle: Path, precision: str) -> Variant:
    return Variant("onnxruntime", precision, _bytes(bundle), {"backend": "onnxruntime", "precision": precision})


def _make(size: int, manifest: Manifest, precision: str, folder: Path, progress: Callable[[str], None]) -> Path:
    """Export a random bundle of ``size`` items in a separate process."""
    progress(f"Making a bundle of {size:,} items")
    out = folder / str(size)
    config: Mapping[str, Any] = manifest.training.get("config", {})
    shape = {"hidden-size": manifest.hidden_size, "max-length": manifest.max_length}
    shape |= {name.replace("_", "-"): config[name] for name in ("num_layers", "num_heads") if name in config}
    words = [word for name, value in shape.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "lightrec.export.random_bundle", "--items", str(size), "--out", str(out)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = children.start([*command, "--precision", precision, *words], stdout=output, stderr=output)
        try:
            with children.limited(process, MAX_EXPORT_SECONDS) as over:
                process.wait()
        finally:
            children.end(process)
        if process.returncode:
            raise ModelError(children.last_words(process, output, over.is_set(), MAX_EXPORT_SECONDS))
    return out


def _bytes(bundle: Path) -> int:
    manifest = read_manifest(bundle)
    return catalogue_bytes(bundle, manifest) + sum(manifest.files[name].bytes for name in manifest.models[0].files)
