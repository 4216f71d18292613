"""Write the model files of a bundle: one inference graph in each requested format and precision."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from lightrec.bundle import ModelRecord
from lightrec.export.precision.calibrate import STATIC, Question, to_int8_static
from lightrec.export.precision.quantize import to_fp16, to_int4, to_int8
from lightrec.export.writers.to_large import LARGE, to_large
from lightrec.export.writers.to_onnx import OPSET, to_onnx
from lightrec.export.writers.to_onnxruntime import to_onnxruntime
from lightrec.export.writers.to_openvino import to_openvino
from lightrec.export.writers.to_ort import to_ort
from lightrec.export.writers.to_phones import to_executorch, to_litert
from lightrec.models.students.student import Student

FORMATS: tuple[str, ...] = ("onnx", "openvino", "ort", "litert", "executorch")
PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda graph: graph,
    "fp16": to_fp16,
    "int8": to_int8,
    "int4": to_int4,
}
"""The function that converts the graph for ONNX Runtime to each precision, except
:data:`~lightrec.export.precision.calibrate.STATIC`, which also needs histories."""
FORMAT_PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": (*PRECISIONS, STATIC),
    "openvino": ("fp32", "fp16", "int8", STATIC),
    "ort": (*PRECISIONS, STATIC),
    "litert": ("fp32",),
    "executorch": ("fp32",),
}
"""The precisions available in each format."""
ONNX_FILE = "model.onnx"
RUNTIMES: dict[str, str] = {name: "onnxruntime" if name in ("onnx", "ort") else name for name in FORMATS}
"""The runtime that reads each format."""
FIXED: dict[str, Callable[[Student, Path], str]] = {"litert": to_litert, "executorch": to_executorch}
"""The formats with fixed shapes, and the function that writes each."""


class Graphs:
    """A student's inference graphs in single precision, each built on first use because tracing takes seconds."""

    def __init__(self, model: Student, questions: Sequence[Question] = ()):
        self.model = model
        """The trained student."""
        self.questions = questions
        """Real histories for calibration; see :func:`~lightrec.export.precision.calibrate.calibration_questions`."""

    @functools.cached_property
    def onnxruntime(self) -> onnx.ModelProto:
        """See :func:`~lightrec.export.writers.to_onnxruntime.to_onnxruntime`."""
        return to_onnxruntime(self.model)

    def smaller(self, precision: str) -> onnx.ModelProto:
        """Return the graph for ONNX Runtime in ``precision``."""
        if precision == STATIC:
            return to_int8_static(self.onnxruntime, self.questions)
        return PRECISIONS[precision](self.onnxruntime)

    @functools.cached_property
    def traced(self) -> onnx.ModelProto:
        """See :func:`~lightrec.export.writers.to_onnx.to_onnx`."""
        return to_onnx(self.model)


def write_models(
    graphs: Graphs, wanted: Sequence[tuple[str, str]], folder: Path, progress: Callable[[str], None]
) -> tuple[ModelRecord, ...]:
    """Write a model for each requested format and precision.

    Args:
        graphs: inference graphs of the trained student.
        wanted: a pair for each model: one of :data:`FORMATS`, each at most once, and one of its precisions.
        folder: an existing folder.
        progress: called with a short text before each model.

    Returns:
        their records for the manifest.
    """
    records = []
    for name, precision in wanted:
        progress(f"Writing the {name} model in {precision}")
        if name == "onnx":
            records.append(ModelRecord("onnxruntime", precision, _write_onnx(graphs, precision, folder), OPSET))
        elif name == "ort":
            file = to_ort(graphs.smaller(precision), folder)
            records.append(ModelRecord("onnxruntime", precision, (file,), OPSET))
        elif name in FIXED:
            records.append(ModelRecord(name, precision, (FIXED[name](graphs.model, folder),)))
        else:
            files = to_openvino(graphs.traced, precision, folder, graphs.questions)
            records.append(ModelRecord("openvino", precision, tuple(files)))
    return tuple(records)


def _write_onnx(graphs: Graphs, precision: str, folder: Path) -> tuple[str, ...]:
    if precision == "int8" and graphs.model.config.n_items >= LARGE:
        return to_large(graphs.model, folder, ONNX_FILE)
    onnx.save(graphs.smaller(precision), folder / ONNX_FILE)
    return (ONNX_FILE,)
