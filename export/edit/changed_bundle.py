"""Steps shared by adding and removing items: change every model in its own precision, then write new golden cases."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lightrec.bundle import (
    FORMAT_VERSION,
    MANIFEST,
    PRECISION_REPORT,
    TEXT_PROJECTION,
    Manifest,
    ModelRecord,
    write_golden,
    write_manifest,
)
from lightrec.errors import BundleError, ConfigError
from lightrec.export.golden_cases import golden_cases, tolerance
from lightrec.export.graphs.large_catalogue import TABLE_FILE
from lightrec.export.writers.to_parts import share_weights
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.registry import open_backend
from lightrec.verify.verify_bundle import verify_bundle

ChangeOnnx = Callable[[onnx.ModelProto], None]
"""Function that changes a graph in place."""
ChangeOpenvino = Callable[[Path, Path], None]
"""Function that reads a graph from one .xml file and writes the changed graph to another."""
ChangeTable = Callable[[Path, Path, Sequence[str]], None]
"""Function that reads a graph and its table by name from one folder and writes both, changed, to another."""


def require_place(out: Path) -> None:
    """Raise :class:`ConfigError` if ``out`` already holds something other than a bundle."""
    if out.exists() and not (out / MANIFEST).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not a bundle: choose another folder for --out.")


def change_models(
    bundle: Path,
    folder: Path,
    manifest: Manifest,
    change_onnx: ChangeOnnx,
    change_openvino: ChangeOpenvino,
    change_table: ChangeTable,
) -> None:
    """Write every model of ``bundle``, changed, into ``folder``; copy the text projection and the precision report.

    Raises:
        BundleError: if the item table of a model cannot be changed.
    """
    for model in manifest.models:
        _require_changeable(model, bundle)
    for model in manifest.models:
        if model.backend == "openvino":
            change_openvino(bundle / model.files[0], folder / model.files[0])
        elif TABLE_FILE in model.files:
            change_table(bundle, folder, model.files)
        else:
            _change_onnx(model, bundle, folder, change_onnx)
    for name in (TEXT_PROJECTION, PRECISION_REPORT):
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, folder / name)


def open_models(folder: Path, manifest: Manifest) -> list[Backend]:
    """Load every model of the bundle."""
    return [open_backend(folder, manifest, model.backend, precision=model.precision) for model in manifest.models]


def finish(folder: Path, manifest: Manifest, graphs: Sequence[Backend], counts: np.ndarray) -> Manifest:
    """Write golden cases and manifest, verify the bundle, and return its manifest.

    Args:
        folder: folder with the models and the catalogue.
        manifest: manifest of the new bundle.
        graphs: its models, loaded.
        counts: int ``[N]``, by which the golden cases draw items.
    """
    cases = golden_cases(graphs[0], counts, manifest.max_length, manifest.k_limit)
    write_golden(folder, cases, tolerance(cases, manifest.models[0].precision, graphs))
    manifest = write_manifest(folder, dataclasses.replace(manifest, format_version=FORMAT_VERSION))
    verify_bundle(folder).require()
    return manifest


def gate_record(differences: Sequence[float]) -> dict[str, Any]:
    """Return the manifest's record of a passed gate, from the score difference of each compared answer."""
    return {"cases": len(differences), "max_score_difference": max(differences)}


def entry(items: int, **facts: Any) -> dict[str, Any]:
    """Return the manifest's record of a change to ``items`` items."""
    return {"created": datetime.now(UTC).isoformat(timespec="seconds"), "items": items, **facts}


def _require_changeable(model: ModelRecord, bundle: Path) -> None:
    if model.backend not in ("onnxruntime", "openvino"):
        raise BundleError(
            f"{bundle} holds a model for {model.backend}, whose item table cannot change: export it anew."
        )
    if model.files[0].endswith(".ort"):
        raise BundleError(f"{bundle} is in ONNX Runtime's own format, which cannot change: export with --format onnx.")


def _change_onnx(model: ModelRecord, bundle: Path, folder: Path, change: ChangeOnnx) -> None:
    file = model.files[0]
    for name in (file, *(part for part in model.parts.values() if (bundle / part).is_file())):
        graph = onnx.load(bundle / name)
        change(graph)
        if name != file:
            share_weights(graph, model.files, folder)
        onnx.save(graph, folder / name)
