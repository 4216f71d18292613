"""Replay golden cases with lightrec.js, in Node.js and in Chromium."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lightrec.bundle import PACKED_ITEMS, GoldenCase, Manifest, ModelRecord
from lightrec.errors import BundleError, MissingExtraError
from lightrec.verify.compare import check_answers
from lightrec.verify.node import PACKAGES, replay_in_node
from lightrec.verify.report import ModelCheck


@dataclasses.dataclass(frozen=True)
class JavaScriptRuntime:
    """A program that runs lightrec.js."""

    name: str
    """The program's name in the report if it is not installed."""
    replay: Callable[[Path, str], tuple[str, list[tuple[list[int], list[float]]]]]
    """Replays the cases with a bundle's model of a given precision; returns the package that ran it and the answers."""
    reads_packed: bool
    """Whether it can read the files of a large catalogue."""


def _replay_in_chromium(path: Path, precision: str) -> tuple[str, list[tuple[list[int], list[float]]]]:
    from lightrec.verify.chromium import replay_in_chromium  # imports all of http

    return replay_in_chromium(path, precision)


IN_NODE = JavaScriptRuntime(PACKAGES[0], replay_in_node, reads_packed=False)
IN_CHROMIUM = JavaScriptRuntime("chromium", _replay_in_chromium, reads_packed=True)  # packaging writes lists


def check_in_javascript(
    runtime: JavaScriptRuntime, path: Path, manifest: Manifest, cases: list[GoldenCase], tolerance: float
) -> Iterator[ModelCheck]:
    """Replay the golden cases with each ONNX model of the bundle."""
    for model in manifest.models:
        if model.backend != "onnxruntime":
            continue
        reason = _unread(runtime, manifest, model)
        if reason is None:
            yield _check_elsewhere(runtime, path, model, cases, tolerance)
        else:
            yield ModelCheck(runtime.name, model.precision, "absent", 0, None, reason)


def _unread(runtime: JavaScriptRuntime, manifest: Manifest, model: ModelRecord) -> str | None:
    """Return why lightrec.js cannot read the model; None if it can."""
    if len(model.files) > 1:
        return f"lightrec.js reads models of one file, not of {len(model.files)}: export in another precision"
    if PACKED_ITEMS[0] in manifest.files and not runtime.reads_packed:
        return "lightrec.js reads no packed catalogue: verify what  lightrec package BUNDLE --for web  writes"
    return None


def _check_elsewhere(
    runtime: JavaScriptRuntime, path: Path, model: ModelRecord, cases: list[GoldenCase], tolerance: float
) -> ModelCheck:
    try:
        package, answers = runtime.replay(path, model.precision)
    except MissingExtraError as error:
        return ModelCheck(runtime.name, model.precision, "absent", 0, None, str(error))
    except BundleError as error:
        return ModelCheck(runtime.name, model.precision, "failed", 0, None, str(error))
    if len(answers) != len(cases):
        reason = f"it answered {len(answers)} of {len(cases)} golden cases"
        return ModelCheck(package, model.precision, "failed", 0, None, reason)
    arrays = [(np.array(items, dtype=np.int64), np.array(scores, dtype=np.float64)) for items, scores in answers]
    return check_answers(model, cases, arrays, tolerance, runtime=package)
