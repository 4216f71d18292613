"""The whole export, from a finished run to a bundle that has passed the parity gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from lightrec.bundle import (
    MANIFEST,
    TEXT_PROJECTION,
    Catalogue,
    Manifest,
    deployed_bytes,
    summarise_events,
    write_catalogue,
    write_golden,
    write_manifest,
)
from lightrec.data.dataset import Dataset
from lightrec.data.splits import Cases, Split, make_split
from lightrec.errors import ConfigError, DataError, ModelError
from lightrec.export.golden_cases import golden_cases, tolerance
from lightrec.export.parity_gate import Parity, check_parity
from lightrec.export.precision.calibrate import STATIC, calibration_questions
from lightrec.export.precision.choose_precision import Speed, speed_beside_fp32, write_best
from lightrec.export.writers.to_parts import with_parts
from lightrec.export.writers.write_models import FORMAT_PRECISIONS, FORMATS, PRECISIONS, Graphs, write_models
from lightrec.files.atomic import new_folder
from lightrec.models.load import load_model
from lightrec.models.students.student import Student
from lightrec.models.students.text_projection import TextProjection
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.registry import open_backend
from lightrec.runtime.recommender import Recommender
from lightrec.verify.verify_bundle import verify_bundle


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """Result of an export."""

    path: Path
    """Folder of the bundle."""
    manifest: Manifest
    """Manifest of the bundle."""
    parity: tuple[Parity, ...]
    """Comparison of each model of the manifest with the trained one."""
    deployed_bytes: int
    """Size of the files that a device needs: all but the titles."""


def export_bundle(
    run: str | Path,
    out: str | Path,
    formats: Sequence[str] = ("onnx",),
    precision: str = "int8",
    data: str | Path | None = None,
    max_ndcg_drop: float = 0.01,
    titles: bool = True,
    k_limit: int = 100,
    progress: Callable[[str], None] = lambda step: None,
) -> ExportReport:
    """Export the student of a finished run as a bundle.

    Args:
        run: a run folder of ``lightrec train`` or ``lightrec distill``.
        out: the bundle to write; a bundle already there is replaced at the end, and only if all went well.
        formats: some of :data:`FORMATS`; each gives one model, and the first is the default of the bundle.
        precision: "fp32", "fp16", "int8", "int8-static" (calibrated on training histories) or, for ONNX, "int4", of
            every model file; or "auto": for each format the fastest on this machine that loses at most
            ``max_ndcg_drop``, with a report of the choice in the bundle.
        data: the prepared data set; if None, the one that the run was trained on, at the path recorded in the run.
        max_ndcg_drop: NDCG@10 that the exported model may lose on validation users, relative to the trained one.
        titles: whether to include the items' titles.
        k_limit: the largest k that the bundle supports, at most the size of the catalogue.
        progress: called with a short text at the beginning of each step.

    Raises:
        ConfigError: if an argument has an invalid value.
        ModelError: if ``run`` holds no finished student.
        DataError: if the data set is missing, is not the one that the student was trained on, or has no validation
            user.
        ParityError: if an exported model does not rank as the trained one does. Nothing is written.
    """
    formats = tuple(dict.fromkeys(formats))
    _check_arguments(Path(out), formats, precision, max_ndcg_drop, k_limit)
    progress("Reading the run and its data")
    model, record = load_model(run)
    if not isinstance(model, Student):
        raise ModelError(f"{run} holds a teacher: distil it first, and export the student of  lightrec distill.")
    dataset = open_data(record, data)
    if record["config"].get("hold_out_items"):
        raise ModelError(f"{run} held items out of training, to be measured: train without --hold-out-items to export.")
    split = make_split(dataset, record["split"]["name"], record["split"]["quantile"])
    if len(split.validation) == 0:
        raise DataError(f"{dataset.name} has no validation user, on whom an export is checked: use more data.")
    counts = split.popularity()

    with new_folder(Path(out)) as folder:
        manifest = Manifest(
            model_type=model.config.model_type,
            n_items=model.config.n_items,
            max_length=model.config.max_length,
            k_limit=min(k_limit, model.config.n_items),
            hidden_size=model.config.hidden_size,
            models=(),
            lightrec_version=version("lightrec"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            training=provenance(record),
            text_projection=_copy_projection(Path(run), folder),
            history_lengths=length_distribution(split.test if len(split.test) else split.validation),
            item_events=summarise_events(counts),
        )
        source = Graphs(model, calibration_questions(split, model.config.max_length))
        speeds: Sequence[Speed | None]
        if precision == "auto":
            models, parity, speeds = write_best(
                source, formats, split.validation, manifest, max_ndcg_drop, folder, progress
            )
        else:
            models = write_models(source, [(name, precision) for name in formats], folder, progress)
        progress("Writing the graphs for sessions and candidates")
        models = with_parts(model, models, PRECISIONS, folder)
        manifest = dataclasses.replace(manifest, models=models)
        graphs = [open_backend(folder, manifest, model.backend) for model in models]
        if precision != "auto":
            parity = _gate(model, graphs, split, manifest, max_ndcg_drop, progress)
            speeds = [_speed(source, graph, split.validation, manifest, progress) for graph in graphs]
        manifest = dataclasses.replace(manifest, gate=_gate_record(graphs, parity, speeds, split, max_ndcg_drop))
        progress("Writing and verifying the bundle")
        order = np.argsort(-counts, kind="stable")
        write_catalogue(folder, Catalogue(dataset.item_ids, order, dataset.item_titles if titles else None))
        cases = golden_cases(graphs[0], counts, manifest.max_length, manifest.k_limit)
        write_golden(folder, cases, tolerance(cases, models[0].precision, graphs))
        manifest = write_manifest(folder, manifest)
        verify_bundle(folder).require()
        Recommender.load(folder).recommend(dataset.item_ids[:1])
        size = deployed_bytes(folder)
    return ExportReport(Path(out), manifest, parity, size)


def open_data(record: dict[str, Any], data: str | Path | None = None) -> Dataset:
    """Open the data set of a run, at ``data`` or at the path recorded in the run.

    Raises:
        DataError: if it is not there, or its checksum is not the one in the run.
    """
    known = record["dataset"]
    if data is None and not Path(known["path"]).is_dir():
        raise DataError(f"The run's data set is no longer at {known['path']}: say with --data where it is now.")
    dataset = Dataset.open(data or known["path"])
    if dataset.checksum != known["checksum"]:
        raise DataError(
            f"{dataset.path} is not the data set that the run was trained on ({known['name']}, checksum "
            f"{known['checksum'][:12]}, not {dataset.checksum[:12]}): give the right one with --data."
        )
    return dataset


def provenance(record: dict[str, Any]) -> dict[str, Any]:
    """Return the training record for a manifest: run.json without the paths of the machine that it ran on."""
    kept = {key: value for key, value in record.items() if key not in ("format_version", "command")}
    kept["dataset"] = {key: value for key, value in record["dataset"].items() if key != "path"}
    return _without_folders(kept)


def _copy_projection(run: Path, folder: Path) -> dict[str, Any] | None:
    """Copy the run's text projection, if there is one, into the bundle; return its record for the manifest."""
    if not (run / TEXT_PROJECTION).is_file():
        return None
    projection = TextProjection.load(run / TEXT_PROJECTION)
    named = dataclasses.replace(projection, language_model=_without_folders(projection.language_model))
    named.save(folder / TEXT_PROJECTION)
    return {"language_model": named.language_model, "fingerprint": named.fingerprint, **named.facts}


def length_distribution(cases: Cases) -> dict[str, Any]:
    """Return the lengths of real histories: their number, mean and quantiles."""
    lengths = cases.ends - cases.starts
    points = (0, 10, 25, 50, 75, 90, 99, 100)
    quantiles = {f"p{point}": int(np.percentile(lengths, point, method="nearest")) for point in points}
    return {"cases": len(lengths), "mean": float(lengths.mean()), **quantiles}


def _check_arguments(out: Path, formats: tuple[str, ...], precision: str, max_ndcg_drop: float, k_limit: int) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"The format is {', '.join(unknown) or 'missing'}: choose from {', '.join(FORMATS)}.")
    known = (*FORMAT_PRECISIONS["onnx"], "auto")
    if precision not in known:
        raise ConfigError(f"The precision is {precision!r}: choose one of {', '.join(known)}.")
    if {"onnx", "ort"} <= set(formats):
        raise ConfigError("--format onnx and --format ort are for the same runtime: choose one, and export twice.")
    without = [name for name in formats if precision not in (*FORMAT_PRECISIONS[name], "auto")]
    if without:
        written = ", ".join(FORMAT_PRECISIONS[without[0]])
        raise ConfigError(f"--format {without[0]} cannot be written in {precision}: choose --precision {written}.")
    if not 0 <= max_ndcg_drop <= 1:
        raise ConfigError(f"--max-ndcg-drop is {max_ndcg_drop}: it is a share, from 0 to 1.")
    if k_limit < 1:
        raise ConfigError(f"--k-limit is {k_limit}: it must be at least 1.")
    if out.exists() and not (out / MANIFEST).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not a bundle: choose another folder for --out.")


def _gate(
    model: Student,
    graphs: Sequence[Backend],
    split: Split,
    manifest: Manifest,
    max_ndcg_drop: float,
    progress: Callable[[str], None],
) -> tuple[Parity, ...]:
    found = []
    for graph in graphs:
        progress(f"Comparing {graph.name} with the trained model on validation histories")
        parity = check_parity(
            model,
            graph,
            split.validation,
            precision=graph.record.precision,
            k_limit=manifest.k_limit,
            max_ndcg_drop=max_ndcg_drop,
        )
        found.append(parity)
    return tuple(found)


def _speed(
    source: Graphs, graph: Backend, cases: Cases, manifest: Manifest, progress: Callable[[str], None]
) -> Speed | None:
    """Time OpenVINO's and calibrated copies, which are not faster than fp32 on every machine; None for the others."""
    precision = graph.record.precision
    if precision == "fp32" or (graph.name != "openvino" and precision != STATIC):
        return None
    progress(f"Timing {graph.name} in {precision} beside fp32")
    return speed_beside_fp32(source, graph, cases, manifest)


def _gate_record(
    graphs: Sequence[Backend],
    parity: Sequence[Parity],
    speeds: Sequence[Speed | None],
    split: Split,
    max_ndcg_drop: float,
) -> dict[str, Any]:
    """Return the figures of the default model and, under ``models``, those of each with its speed if measured."""
    models = [
        {"backend": graph.name, "precision": graph.record.precision, **figures.to_json()}
        | ({"speed": speed.to_json()} if speed else {})
        for graph, figures, speed in zip(graphs, parity, speeds, strict=True)
    ]
    return {
        "users": f"validation, {split.name}",
        "max_ndcg_drop": max_ndcg_drop,
        **parity[0].to_json(),
        "models": models,
    }


def _without_folders(value: Any) -> Any:
    """Return ``value`` with every path in it that is absolute, or begins with a dot or ~, cut to its last component."""
    if isinstance(value, dict):
        return {key: _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    for kind in (PurePosixPath, PureWindowsPath):
        if isinstance(value, str) and (kind(value).is_absolute() or value.startswith((".", "~"))):
            return kind(value).name
    return value
