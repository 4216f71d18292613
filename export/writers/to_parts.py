"""Additional graphs that share the inference graph's weights: one step of a history, scoring from the state on, and
the scores of given candidates.

A session caches the encoder's state and reads only new items; ``candidates=`` needs the scores of a few items, not
those of the whole catalogue. None of these graphs stores a large weight again: see :func:`share_weights`.
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx.external_data_helper import set_external_data
from onnx.helper import make_graph, make_model, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import to_array

from lightrec.bundle import ModelRecord
from lightrec.export.graphs.builder import GraphBuilder
from lightrec.export.graphs.finish import IR_VERSION
from lightrec.export.graphs.gru4rec_step import build_gru4rec_step
from lightrec.export.graphs.sasrec_step import build_sasrec_step
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.to_onnx import OPSET
from lightrec.models.students.gru4rec import Gru4RecConfig
from lightrec.models.students.sasrec import SasrecConfig
from lightrec.models.students.student import Student

SMALLEST_SHARED = 256
"""Weights with fewer bytes than this are stored again: a reference would take about as much."""

CATALOGUE = "catalogue"
"""Name of the initializer with the number of items, in a candidate graph with item-item weights."""

PRODUCTS = ("Gemm", "MatMul", "MatMulNBits")
"""The operators that may multiply states by the item table."""


STEPS: dict[str, Callable[[Any], onnx.ModelProto]] = {
    SasrecConfig.model_type: build_sasrec_step,
    Gru4RecConfig.model_type: build_gru4rec_step,
}
"""Builder of the step graph by model type. A student without one reads the whole history each time."""


def score_graph(graph: onnx.ModelProto, width: int) -> onnx.ModelProto:
    """Return the inference graph, in any precision, from the encoder's ``state [B, d]`` on; d is ``width``."""
    scoring = [node for node in graph.graph.node if node.op_type in PRODUCTS and node.input[1].startswith(TABLE)]
    assert len(scoring) == 1, "the inference graph multiplies by its item table once"
    state = scoring[0].input[0]
    part = onnx.ModelProto()
    part.CopyFrom(graph)
    for node in part.graph.node:
        for place, name in enumerate(node.input):
            if name == state:
                node.input[place] = "state"
    part.graph.input.append(make_tensor_value_info("state", TensorProto.FLOAT, ["batch", width]))
    _prune(part)
    onnx.checker.check_model(part)
    return part


def candidate_graph(model: Student) -> onnx.ModelProto:
    """Return the graph from ``state [B, d]`` and ``candidates [B, C]`` to their ``scores [B, C]``, in single precision.

    With item-item weights, it also has the inputs ``history`` and ``length`` of the inference graph.
    """
    config, builder = model.config, GraphBuilder()
    table = model.fold().item_embedding.weight[: config.n_items].detach().numpy()
    axis = builder.constant("i2", np.array([2]))
    vectors = builder.add("Gather", [builder.constant(TABLE, table), "candidates"], "vectors")
    column = builder.add("Unsqueeze", ["state", axis], "column")
    scores = builder.add("Squeeze", [builder.add("MatMul", [vectors, column], "products"), axis], "products.flat")
    batch = ["batch", "candidates"]
    inputs = [
        make_tensor_value_info("state", TensorProto.FLOAT, ["batch", config.hidden_size]),
        make_tensor_value_info("candidates", TensorProto.INT64, batch),
    ]
    if model.neighbours is not None:
        builder.read_history(config.max_length)
        size = builder.add("Shape", ["length"], "users")
        width = builder.constant(CATALOGUE, np.array([config.n_items]))
        size = builder.add("Concat", [size, width], "all.shape", axis=0)
        nothing = builder.add("Expand", [builder.constant("no_vote", np.float32(0)), size], "no_votes")
        votes = builder.add_votes(model.neighbours, nothing)
        votes = builder.add("GatherElements", [votes, "candidates"], "votes", axis=1)
        scores = builder.add("Add", [scores, votes], "sum")
        inputs.append(make_tensor_value_info("history", TensorProto.INT64, ["batch", "time"]))
        inputs.append(make_tensor_value_info("length", TensorProto.INT64, ["batch"]))
    builder.add("Identity", [scores], "scores")
    output = make_tensor_value_info("scores", TensorProto.FLOAT, batch)
    graph = make_graph(builder.built, "candidates", inputs, [output], builder.initializers)
    part = make_model(graph, opset_imports=[make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="lightrec")
    onnx.checker.check_model(part)
    return part


def with_parts(
    model: Student,
    records: Sequence[ModelRecord],
    precisions: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]],
    folder: Path,
) -> tuple[ModelRecord, ...]:
    """Write the additional graphs for ONNX Runtime.

    Args:
        model: the student; one that is not in :data:`STEPS` has no additional graphs.
        records: records of its inference graphs. Only a single ONNX file that contains the item table, in fp32, fp16 or
            int8, gets parts.
        precisions: the function that converts a graph to each precision.
        folder: where the files are.

    Returns:
        ``records`` with the parts.
    """
    return tuple(
        _with_parts(model, record, precisions[record.precision], folder)
        if _takes_parts(record) and model.config.model_type in STEPS
        else record
        for record in records
    )


def _takes_parts(record: ModelRecord) -> bool:
    """Return whether the inference graph is one ONNX file in fp32, fp16 or int8."""
    one_onnx_file = len(record.files) == 1 and record.files[0].endswith(".onnx")
    return one_onnx_file and record.precision in ("fp32", "fp16", "int8")


def _with_parts(
    model: Student, record: ModelRecord, quantize: Callable[[onnx.ModelProto], onnx.ModelProto], folder: Path
) -> ModelRecord:
    parts = {
        "step": quantize(STEPS[model.config.model_type](model)),
        "score": score_graph(onnx.load(folder / record.files[0]), model.config.hidden_size),
        "candidates": quantize(candidate_graph(model)),
    }
    for name, part in parts.items():
        share_weights(part, record.files, folder)
        onnx.save(part, folder / f"{name}.onnx")
    return dataclasses.replace(record, parts={name: f"{name}.onnx" for name in parts})


def share_weights(part: onnx.ModelProto, files: tuple[str, ...], folder: Path) -> None:
    """Replace each weight of ``part`` that one of ``files`` contains, byte for byte, with a reference to it.

    An ONNX tensor can be stored in another file at an offset: here, in the inference graph's own file.
    """
    for name in files:
        with (folder / name).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            for tensor in part.graph.initializer:
                data = to_array(tensor).tobytes() if not tensor.external_data else b""
                offset = held.find(data) if len(data) >= SMALLEST_SHARED else -1
                if offset >= 0:
                    tensor.raw_data = data
                    set_external_data(tensor, name, offset, len(data))
                    tensor.ClearField("raw_data")


def _prune(model: onnx.ModelProto) -> None:
    """Remove the nodes, weights and inputs that the outputs do not need."""
    graph = model.graph
    needed, nodes = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    kept = list(reversed(nodes))
    del graph.node[:]
    graph.node.extend(kept)
    for values in (graph.initializer, graph.input):
        chosen = [value for value in values if value.name in needed]
        del values[:]
        values.extend(chosen)
