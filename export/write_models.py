"""The model files of a bundle: one graph, for each runtime and in each precision that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from lightrec.bundle import ModelRecord
from lightrec.export.quantize import to_fp16, to_int4, to_int8
from lightrec.export.to_large import LARGE, to_large
from lightrec.export.to_onnx import OPSET, to_onnx
from lightrec.export.to_onnxruntime import to_onnxruntime
from lightrec.export.to_openvino import to_openvino
from lightrec.export.to_ort import to_ort
from lightrec.models.student import Student

FORMATS: tuple[str, ...] = ("onnx", "openvino", "ort")
PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda graph: graph,
    "fp16": to_fp16,
    "int8": to_int8,
    "int4": to_int4,
}
"""What each makes of the graph for ONNX Runtime."""
FORMAT_PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": tuple(PRECISIONS),
    "openvino": ("fp32", "fp16", "int8"),
    "ort": tuple(PRECISIONS),
}
"""The precisions that each format can be written in."""
ONNX_FILE = "model.onnx"


def write_models(
    model: Student, wanted: Sequence[tuple[str, str]], folder: Path, progress: Callable[[str], None]
) -> tuple[ModelRecord, ...]:
    """Write a model for each format and precision that is wanted.

    Args:
        model: the trained student.
        wanted: one of :data:`FORMATS` and one of :data:`PRECISIONS` for each model, every format once.
        folder: an existing folder.
        progress: called with a few words at the beginning of each.

    Returns:
        what the manifest says of them.
    """
    records = []
    for name, precision in wanted:
        progress(f"Writing the {name} model in {precision}")
        if name == "onnx":
            records.append(ModelRecord("onnxruntime", precision, _write_onnx(model, precision, folder), OPSET))
        elif name == "ort":
            file = to_ort(PRECISIONS[precision](to_onnxruntime(model)), folder)
            records.append(ModelRecord("onnxruntime", precision, (file,), OPSET))
        else:
            records.append(ModelRecord("openvino", precision, tuple(to_openvino(to_onnx(model), precision, folder))))
    return tuple(records)


def _write_onnx(model: Student, precision: str, folder: Path) -> tuple[str, ...]:
    if precision == "int8" and model.config.n_items >= LARGE:
        return to_large(model, folder, ONNX_FILE)
    onnx.save(PRECISIONS[precision](to_onnxruntime(model)), folder / ONNX_FILE)
    return (ONNX_FILE,)
