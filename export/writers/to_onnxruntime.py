"""A student's inference graph for ONNX Runtime: built node by node if there is a builder, traced otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from lightrec.export.graphs.sasrec import build_sasrec
from lightrec.export.writers.to_onnx import to_onnx
from lightrec.models.students.sasrec import SasrecConfig
from lightrec.models.students.student import Student

BUILDERS: dict[str, Callable[[Any], onnx.ModelProto]] = {SasrecConfig.model_type: build_sasrec}
"""Builders by model type; a built graph has fewer nodes than a traced one."""


def to_onnxruntime(model: Student) -> onnx.ModelProto:
    """Return the graph in single precision; its inputs, outputs and answers are the same as those of
    :func:`~lightrec.export.writers.to_onnx.to_onnx`.

    Raises:
        ModelError: if the weights exceed what one ONNX file can hold.
    """
    return BUILDERS.get(model.config.model_type, to_onnx)(model)
