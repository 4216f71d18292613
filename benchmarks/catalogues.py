"""How a model of the bundle's shape slows down as the catalogue grows: random bundles, timed in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightrec.benchmarks.lab import Lab
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.race import race, warm_up
from lightrec.benchmarks.timing import histogram, summarise
from lightrec.benchmarks.traffic import synthetic_traffic
from lightrec.benchmarks.variants import Absent, Variant, catalogue_bytes
from lightrec.bundle import Manifest, read_catalogue, read_manifest
from lightrec.errors import ModelError
from lightrec.extras import missing_modules

Row = dict[str, Any]

ROUNDS = 10
"""Turns of each size."""
CASES = 500
"""Made-up histories of each size."""


def catalogue_rows(manifest: Manifest, plan: Plan, folder: Path, progress: Callable[[str], None]) -> list[Row]:
    """One row of kind ``catalogue`` for each size that the plan names, or one of kind ``absent``.

    Args:
        manifest: of the bundle whose shape and lengths of histories the random ones have.
        plan: the sizes and the time.
        folder: where the bundles are written; the caller deletes it.
        progress: called with a few words before each longer step.
    """
    precision = next((model.precision for model in manifest.models if model.backend == "onnxruntime"), "int8")
    name = f"random bundles, {precision}"
    if missing_modules("export") or missing_modules("train"):
        return [_absent(Absent(name, "not installed: pip install 'lightrec[export]'"))]
    try:
        bundles = {size: _make(size, manifest, precision, folder, progress) for size in plan.catalogue_sizes}
    except ModelError as error:
        return [_absent(Absent(name, str(error)))]
    progress("Timing catalogues in turns")
    turn = plan.short_seconds / (2 * ROUNDS)
    with contextlib.ExitStack() as stack:
        workers = []
        for size, bundle in bundles.items():
            own = dataclasses.replace(read_manifest(bundle), history_lengths=manifest.history_lengths)
            traffic = synthetic_traffic(own, read_catalogue(bundle, own), CASES, plan.seed)
            (folder / f"lab-{size}").mkdir()
            lab = Lab(bundle, traffic, plan, folder / f"lab-{size}")
            variant = Variant(
                "onnxruntime", precision, _bytes(bundle), {"backend": "onnxruntime", "precision": precision}
            )
            workers.append(stack.enter_context(lab.contestant(variant, plan.threads, batches=())))
            warm_up(workers[-1], "single", turn)
        taken = race([(worker, "single") for worker in workers], rounds=ROUNDS, seconds=turn, stride=CASES // ROUNDS)
    return [
        {
            "kind": "catalogue",
            "variant": variant.name,
            "precision": precision,
            "n_items": size,
            "size_bytes": _bytes(bundle),
            "latency_ms": summarise(rounds) | {"histogram": histogram(rounds)},
        }
        for (size, bundle), rounds in zip(bundles.items(), taken, strict=True)
    ]


def _make(size: int, manifest: Manifest, precision: str, folder: Path, progress: Callable[[str], None]) -> Path:
    """A random bundle of ``size`` items, written by the exporter in a process of its own."""
    progress(f"Making a bundle of {size:,} items")
    out = folder / str(size)
    config: Mapping[str, Any] = manifest.training.get("config", {})
    shape = {"hidden-size": manifest.hidden_size, "max-length": manifest.max_length}
    shape |= {name.replace("_", "-"): config[name] for name in ("num_layers", "num_heads") if name in config}
    words = [word for name, value in shape.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "lightrec.export.random_bundle", "--items", str(size), "--out", str(out)]
    done = subprocess.run([*command, "--precision", precision, *words], capture_output=True, text=True)
    if done.returncode:
        raise ModelError((done.stderr.strip().splitlines() or ["the exporter said nothing"])[-1])
    return out


def _bytes(bundle: Path) -> int:
    manifest = read_manifest(bundle)
    return catalogue_bytes(bundle, manifest) + sum(manifest.files[name].bytes for name in manifest.models[0].files)


def _absent(found: Absent) -> Row:
    return {"kind": "absent", "variant": found.name, "reason": found.reason}
