"""Export a student's inference graph as one ONNX file in single precision."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import onnx
import torch
from onnx.numpy_helper import from_array, to_array

from lightrec.errors import ModelError
from lightrec.export.graphs.builder import NEIGHBOURS, smallest
from lightrec.export.writers.exporter_config import exporter_config
from lightrec.models.students.student import Student

OPSET = 20
"""The oldest opset with every operator of the students as one node (Gelu came with 20), so that older runtimes can
read the file, from ONNX Runtime 1.17 and OpenVINO 2024.0 on."""

MOST_BYTES = 2**31 - 2**24
"""Largest size of the weights in one ONNX file: protobuf's limit, less some room for the graph itself."""


def to_onnx(model: Student) -> onnx.ModelProto:
    """Export ``model``'s forward pass; inputs, outputs and dynamic axes come from its exporter configuration.

    The item table is one initializer, ``item_embedding.weight``, that the input Gather and the scoring Gemm share.
    The exporter's notes on each node are removed, so that the file contains no local paths.

    Raises:
        ModelError: if the weights exceed what one ONNX file can hold.
    """
    require_one_file(model)
    config = exporter_config(model)
    inputs = config.generate_dummy_inputs(framework="pt")
    exported = trace(model.fold().eval(), inputs, list(config.outputs), {**config.inputs, **config.outputs})
    _shrink_neighbours(exported)
    onnx.helper.set_model_props(exported, {"model_type": model.config.model_type, "precision": "fp32"})
    onnx.checker.check_model(exported)
    return exported


def trace(
    module: torch.nn.Module, inputs: dict[str, Any], outputs: list[str], axes: dict[str, dict[int, str]]
) -> onnx.ModelProto:
    """Trace ``module`` with the example ``inputs``; ``axes`` names the dynamic axes of all inputs and outputs."""
    with _quiet(), _gru_nodes(module), torch.no_grad():
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
    """Raise :class:`ModelError` if the student's weights exceed what one ONNX file can hold."""
    size = sum(weight.nbytes for weight in model.parameters())
    if size > MOST_BYTES:
        raise ModelError(
            f"The student has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2.1 GB: export it for ONNX "
            "Runtime with --precision int8, which puts the item table of a large catalogue into a file of its own."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _gru_nodes(module: torch.nn.Module) -> Iterator[None]:
    """Trace every layer of a ``torch.nn.GRU`` as one ONNX GRU node.

    By default, the exporter of torch 2.13 does so only for the first model of a process; for later ones it unrolls each
    step of the example history and fails.
    """
    grus = [part for part in module.modules() if isinstance(part, torch.nn.GRU)]
    for gru in grus:
        gru.__dict__["forward"] = functools.partial(_gru_node, gru)
    try:
        yield
    finally:
        for gru in grus:
            del gru.__dict__["forward"]


def _gru_node(gru: torch.nn.GRU, inputs: torch.Tensor) -> tuple[torch.Tensor, None]:
    """Return the states ``[B, T, d]`` of a batch-first ``gru`` that starts from zeros; only for tracing, never run."""
    states, width = inputs.transpose(0, 1), gru.hidden_size
    reset, update, new = (slice(gate * width, (gate + 1) * width) for gate in range(3))
    for layer in range(gru.num_layers):
        weights = [getattr(gru, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        # ONNX puts the update gate before the reset gate, and has a leading axis for the direction.
        from_input, from_state, *biases = [torch.cat([w[update], w[reset], w[new]])[None] for w in weights]
        states = torch.onnx.ops.symbolic(
            "GRU",
            [states, from_input, from_state, torch.cat(biases, 1)],
            {"hidden_size": width, "linear_before_reset": 1},
            dtype=states.dtype,
            shape=[states.shape[0], 1, states.shape[1], width],
        ).squeeze(1)
    return states.transpose(0, 1), None


def _shrink_neighbours(model: onnx.ModelProto) -> None:
    """Store the indices of item-item weights in the smallest type; the node that reads them is followed by a Cast."""
    for tensor in model.graph.initializer:
        if tensor.name == NEIGHBOURS:
            tensor.CopyFrom(from_array(smallest(to_array(tensor)), NEIGHBOURS))


def _name_axes(model: onnx.ModelProto, axes: dict[str, dict[int, str]]) -> None:
    """Give the dynamic axes of the graph's inputs and outputs the names of the exporter configuration."""
    for value in [*model.graph.input, *model.graph.output]:
        for axis, name in axes[value.name].items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.value_info[:]  # these shapes use the tracer's axis names; runtimes infer them again


def _remove_notes(model: onnx.ModelProto) -> None:
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
