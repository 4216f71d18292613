"""The model files of a bundle: one graph, for each runtime and in each precision that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from lightrec.bundle import ModelRecord
from lightrec.export.quantize import to_fp16, to_int8
from lightrec.export.to_onnx import OPSET, to_onnx
from lightrec.export.to_onnxruntime import to_onnxruntime
from lightrec.export.to_openvino import to_openvino
from lightrec.models.student import Student

FORMATS: tuple[str, ...] = ("onnx", "openvino")
PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda graph: graph,
    "fp16": to_fp16,
    "int8": to_int8,
}
"""What each makes of the graph for ONNX Runtime."""
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
            onnx.save(PRECISIONS[precision](to_onnxruntime(model)), folder / ONNX_FILE)
            records.append(ModelRecord("onnxruntime", precision, (ONNX_FILE,), OPSET))
        else:
            records.append(ModelRecord("openvino", precision, tuple(to_openvino(to_onnx(model), precision, folder))))
    return tuple(records)
