"""Graphs that stand beside the inference graph and read its weights: one step of a history, scoring apart from it,
and the scores of a few candidates.

A session keeps what the encoder remembers and reads only what is new; ``candidates=`` needs the scores of a few
items, not those of the whole catalogue. None of these graphs stores a large weight again: see :func:`share_weights`.
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
from lightrec.export.graphs.gru4rec_step import build_gru4rec_step
from lightrec.export.graphs.sasrec import IR_VERSION
from lightrec.export.graphs.sasrec_step import build_sasrec_step
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.to_onnx import OPSET
from lightrec.models.students.gru4rec import Gru4RecConfig
from lightrec.models.students.sasrec import SasrecConfig
from lightrec.models.students.student import Student

SMALLEST_SHARED = 256
"""Weights of fewer bytes are stored again: a reference would take about as much."""

CATALOGUE = "catalogue"
"""The initializer of a candidate graph that says how many items there are, where it has to know."""

PRODUCTS = ("Gemm", "MatMul", "MatMulNBits")
"""The operators that may multiply states by the item table."""


STEPS: dict[str, Callable[[Any], onnx.ModelProto]] = {
    SasrecConfig.model_type: build_sasrec_step,
    Gru4RecConfig.model_type: build_gru4rec_step,
}
"""By model type: what writes its step graph. A student that is not here reads the whole history each time."""


def score_graph(graph: onnx.ModelProto, width: int) -> onnx.ModelProto:
    """The inference graph, in any precision, from the encoder's ``state [B, d]`` on; d is ``width``."""
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
    """``state [B, d]`` and ``candidates [B, C]`` to their ``scores [B, C]``, in single precision.

    Where items have neighbours, who vote, the inputs ``history`` and ``length`` of the inference graph come as well.
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
    """Write the graphs beside the inference graph for ONNX Runtime.

    Args:
        model: the student; one that is not in :data:`STEPS` has no such graphs.
        records: its inference graphs. Only an ONNX file that holds its item table in one piece gets parts.
        precisions: what each precision makes of a graph.
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
    """Whether the inference graph is one ONNX file whose table is read in one pass."""
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
    """Let the weights of ``part`` that lie, byte for byte, in one of ``files`` be read from there.

    ONNX lets a tensor lie in another file, at an offset: here that is the inference graph's own file.
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
    """Keep what the outputs need: nodes, weights and inputs."""
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
