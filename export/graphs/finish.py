"""Turn a hand-built graph into a checked ONNX model."""

from __future__ import annotations

from importlib.metadata import version

import onnx
from onnx.helper import make_model, make_opsetid, set_model_props

from lightrec.export.writers.to_onnx import OPSET

IR_VERSION = 10
"""Version of the file format, not older than the one introduced with opset 20; ONNX Runtime 1.18 reads it."""
MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


def finish_model(graph: onnx.GraphProto, model_type: str, *domains: str) -> onnx.ModelProto:
    """Return the fp32 model of ``graph``; ``domains`` are those of its operators besides ONNX's own.

    Raises:
        onnx.checker.ValidationError: if the graph is not valid.
    """
    built = make_model(
        graph,
        opset_imports=[make_opsetid("", OPSET), *(make_opsetid(domain, 1) for domain in domains)],
        ir_version=IR_VERSION,
        producer_name="lightrec",
        producer_version=version("lightrec"),
    )
    set_model_props(built, {"model_type": model_type, "precision": "fp32"})
    onnx.checker.check_model(built)
    return built
