"""A student's inference graph as one ONNX file in single precision."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import onnx
import torch

from lightrec.errors import ModelError
from lightrec.export.exporter_config import exporter_config
from lightrec.models.student import Student

OPSET = 20
"""The oldest opset that holds every operator of the students as one node (Gelu came with 20), so that older
runtimes can read the file: ONNX Runtime 1.17 and OpenVINO 2024.0 do."""

MOST_BYTES = 2**31 - 2**24
"""What one ONNX file holds (a limit of protobuf), with some room for the graph itself."""


def to_onnx(model: Student) -> onnx.ModelProto:
    """Export ``model``'s forward pass; inputs, outputs and dynamic axes come from its exporter configuration.

    The item table is one initializer, ``item_embedding.weight``, that the input Gather and the scoring Gemm share.
    Tracing leaves no local paths behind: the exporter's notes on each node are removed.

    Raises:
        ModelError: if the weights exceed what one ONNX file can hold.
    """
    require_one_file(model)
    config = exporter_config(model)
    inputs = config.generate_dummy_inputs(framework="pt")
    exported = trace(model.fold().eval(), inputs, list(config.outputs), {**config.inputs, **config.outputs})
    onnx.helper.set_model_props(exported, {"model_type": model.config.model_type, "precision": "fp32"})
    onnx.checker.check_model(exported)
    return exported


def trace(
    module: torch.nn.Module, inputs: dict[str, Any], outputs: list[str], axes: dict[str, dict[int, str]]
) -> onnx.ModelProto:
    """Trace ``module`` with the example ``inputs``; ``axes`` names the dynamic axes of every input and output."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes={name: dict.fromkeys(axes[name], torch.export.Dim.DYNAMIC) for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    exported = program.model_proto
    _name_axes(exported, axes)
    _remove_notes(exported)
    exported.producer_name, exported.producer_version = "lightrec", version("lightrec")
    return exported


def require_one_file(model: Student) -> None:
    """Refuse with a :class:`ModelError` a student whose weights exceed what one ONNX file can hold."""
    size = sum(weight.nbytes for weight in model.parameters())
    if size > MOST_BYTES:
        raise ModelError(
            f"The student has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2.1 GB: export it for ONNX "
            "Runtime with --precision int8, which puts the item table of a large catalogue into a file of its own."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks on packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_axes(model: onnx.ModelProto, axes: dict[str, dict[int, str]]) -> None:
    """Give the dynamic axes of the graph's inputs and outputs the names of the exporter configuration."""
    for value in [*model.graph.input, *model.graph.output]:
        for axis, name in axes[value.name].items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.value_info[:]  # shapes in the tracer's own names; runtimes infer them again


def _remove_notes(model: onnx.ModelProto) -> None:
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
