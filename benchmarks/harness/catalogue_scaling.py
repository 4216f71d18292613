"""How a model of the bundle's shape slows down as the catalogue grows: random bundles, timed in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.harness import Lab
from lightrec.benchmarks.harness.latency_statistics import histogram, summarise
from lightrec.benchmarks.harness.worker_process import Contestant, race, warm_up
from lightrec.benchmarks.harness.workload import Traffic, synthetic_traffic
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.variants.variant import Absent, Variant, catalogue_bytes
from lightrec.bundle import Manifest, read_catalogue, read_manifest
from lightrec.errors import ModelError
from lightrec.extras import missing_modules

Row = dict[str, Any]

ROUNDS = 10
"""Turns of each size."""
MOST_EXPORT_SECONDS = 3600.0
"""After which the exporter of a random bundle is ended."""
CASES = 500
"""Made-up histories of each size."""


def catalogue_rows(manifest: Manifest, plan: Plan, folder: Path, progress: Callable[[str], None]) -> list[Row]:
    """One row of kind ``catalogue`` for each size that the plan names, or of kind ``absent`` for one that fails.

    Args:
        manifest: of the bundle whose shape and lengths of histories the random ones have.
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
    running: dict[int, Contestant] = {}
    asked: dict[int, Traffic] = {}
    turn = plan.short_seconds / (2 * ROUNDS)
    with contextlib.ExitStack() as stack:
        for size in plan.catalogue_sizes:
            try:
                bundles[size] = _make(size, manifest, precision, folder, progress)
                asked[size] = _traffic(bundles[size], manifest, plan)
                lab = folder / f"lab-{size}"
                worker = stack.enter_context(_contestant(bundles[size], asked[size], precision, plan, lab))
                warm_up(worker, "single", turn)
                running[size] = worker
            except ModelError as error:
                failed[size] = str(error)
        progress("Timing catalogues in turns")
        entries = [(worker, "single") for worker in running.values()]
        taken = race(entries, rounds=ROUNDS, seconds=turn, stride=CASES // ROUNDS, tolerant=True)
        failed |= {size: worker.failure for size, worker in running.items() if worker.failure is not None}
    rows = [
        {
            "kind": "catalogue",
            "variant": _variant(bundles[size], precision).name,
            "precision": precision,
            "n_items": size,
            "size_bytes": _bytes(bundles[size]),
            "data": asked[size].to_json(),
            "latency_ms": summarise(rounds) | {"histogram": histogram(rounds)},
        }
        for size, rounds in zip(running, taken, strict=True)
        if size not in failed
    ]
    absent = [Absent(f"random bundle of {size:,} items, {precision}", reason) for size, reason in failed.items()]
    return rows + [one.to_json() for one in absent]


def _traffic(bundle: Path, manifest: Manifest, plan: Plan) -> Traffic:
    """Histories for a random bundle, as long as those of the bundle that it stands for."""
    own = dataclasses.replace(read_manifest(bundle), history_lengths=manifest.history_lengths)
    return synthetic_traffic(own, read_catalogue(bundle, own), CASES, plan.seed)


def _contestant(bundle: Path, traffic: Traffic, precision: str, plan: Plan, folder: Path) -> Contestant:
    """A running worker of a random bundle."""
    folder.mkdir()
    return Lab(bundle, traffic, plan, folder).contestant(_variant(bundle, precision), plan.threads, batches=())


def _variant(bundle: Path, precision: str) -> Variant:
    return Variant("onnxruntime", precision, _bytes(bundle), {"backend": "onnxruntime", "precision": precision})


def _make(size: int, manifest: Manifest, precision: str, folder: Path, progress: Callable[[str], None]) -> Path:
    """A random bundle of ``size`` items, written by the exporter in a process of its own."""
    progress(f"Making a bundle of {size:,} items")
    out = folder / str(size)
    config: Mapping[str, Any] = manifest.training.get("config", {})
    shape = {"hidden-size": manifest.hidden_size, "max-length": manifest.max_length}
    shape |= {name.replace("_", "-"): config[name] for name in ("num_layers", "num_heads") if name in config}
    words = [word for name, value in shape.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "lightrec.export.random_bundle", "--items", str(size), "--out", str(out)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = children.start([*command, "--precision", precision, *words], stdout=said, stderr=said)
        try:
            with children.limited(process, MOST_EXPORT_SECONDS) as over:
                process.wait()
        finally:
            children.end(process)
        if process.returncode:
            raise ModelError(children.last_words(process, said, over.is_set(), MOST_EXPORT_SECONDS))
    return out


def _bytes(bundle: Path) -> int:
    manifest = read_manifest(bundle)
    return catalogue_bytes(bundle, manifest) + sum(manifest.files[name].bytes for name in manifest.models[0].files)
