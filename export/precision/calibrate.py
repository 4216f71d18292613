"""Precision ``int8-static``: the layers also multiply in 8 bits, in ranges calibrated on the data's own histories.

Every product of states and a layer's matrix is computed in integers. The matrix is stored as in ``int8``, with a scale
for each output; the states are rounded to 256 steps between their smallest and largest value over the calibration
histories, so that no request has to find its own range. The item table is the same as in ``int8``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto
from onnx.helper import make_node, make_tensor_value_info, set_model_props
from onnx.numpy_helper import from_array, to_array

from lightrec.data.splits import Split
from lightrec.export.precision.quantize import TABLE, quantize_blocks, to_int8
from lightrec.telemetry import silence_onnxruntime

silence_onnxruntime()

STATIC = "int8-static"
"""The name of this precision."""

HISTORIES = 512
"""Largest number of training histories used for calibration, drawn at random if there are more."""

Question = dict[str, np.ndarray]
"""The inputs of an inference graph, by name."""


def calibration_questions(split: Split, max_length: int, seed: int = 0) -> list[Question]:
    """Return training histories of ``split`` as inputs of the inference graph, one history each, without padding.

    Args:
        split: the user's own data; its validation targets, on which the copy is checked, are not in the histories.
        max_length: number of items to which longer histories are cut.
        seed: seed of the draw.
    """
    users = np.flatnonzero(np.diff(split.train_offsets))
    drawn = np.random.default_rng(seed).permutation(users)[:HISTORIES]
    bounds = zip(split.train_offsets[drawn], split.train_offsets[drawn + 1], strict=True)
    return [as_question(split.train_items[start:end][-max_length:]) for start, end in bounds]


def as_question(history: np.ndarray) -> Question:
    """Return one history int64 ``[T]`` of item indices as inputs of the inference graph."""
    parts = {"history": [history], "length": [len(history)], "exclude": [[-1]], "k": [1]}
    return {name: np.array(part, dtype=np.int64) for name, part in parts.items()}


def to_int8_static(model: onnx.ModelProto, questions: Sequence[Question]) -> onnx.ModelProto:
    """Store ``model`` in 8 bits as :func:`~lightrec.export.precision.quantize.to_int8` does, and compute the layers in
    8 bits too.

    The codes of states and matrices are unsigned: with signed ones, ONNX Runtime's products on AVX2 overflow 16 bits.
    Products for a single position (Gemm) stay as in ``int8``; so does a GRU, for which the runtime has no integer
    operator with fixed ranges.

    Args:
        model: the inference graph in single precision.
        questions: the result of :func:`calibration_questions`.
    """
    graph = _plain_products(model)
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    products = [node for node in graph.graph.node if _is_product(node, weights)]
    ranges = observe(graph, list(dict.fromkeys(node.input[0] for node in products)), questions)
    first_reads = {node.input[0]: id(node) for node in reversed(products)}
    nodes: list[NodeProto] = []
    for node in graph.graph.node:
        if _is_product(node, weights):
            states, matrix = node.input
            if first_reads[states] == id(node):
                nodes += _round_states(graph, states, *ranges[states])
            nodes += _round_matrix(graph, weights[matrix])
            node.input[:] = [f"{states}.rounded", f"{matrix}.rounded"]
        nodes.append(node)
    _replace_nodes(graph, nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.graph.initializer if tensor.name in used]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    graph = to_int8(graph)
    properties = {entry.key: entry.value for entry in graph.metadata_props}
    set_model_props(graph, {**properties, "precision": STATIC})
    return graph


def observe(
    model: onnx.ModelProto, names: Sequence[str], questions: Sequence[Question]
) -> Mapping[str, tuple[float, float]]:
    """Return the smallest and largest value, over all ``questions``, of each tensor of ``model`` in ``names``."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    seen = [[(value.min(), value.max()) for value in session.run(list(names), question)] for question in questions]
    bounds = np.array(seen, dtype=np.float64).reshape(len(questions), len(names), 2)
    return {
        name: (float(low), float(high))
        for name, low, high in zip(names, bounds[:, :, 0].min(axis=0), bounds[:, :, 1].max(axis=0), strict=True)
    }


def _is_product(node: NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    """Return whether ``node`` multiplies states by a layer's matrix."""
    if node.op_type != "MatMul" or node.input[1] not in weights or node.input[1] == TABLE:
        return False
    return len(weights[node.input[1]].dims) == 2


def _plain_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which the products inside Attention are separate nodes."""
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    nodes: list[NodeProto] = []
    for node in graph.graph.node:
        nodes += _attention(node) if node.op_type == "Attention" else [node]
    _replace_nodes(graph, nodes)
    return graph


def _attention(node: NodeProto) -> list[NodeProto]:
    """Split ONNX Runtime's Attention into the product that gives queries, keys and values, and the attention itself."""
    out = node.output[0]
    states, weight, bias = node.input[:3]
    queries, keys, values = (f"{out}.{part}" for part in ("queries", "keys", "values"))
    attend = make_node(
        "MultiHeadAttention", [queries, keys, values, bias, "", node.input[5]], [out], domain=node.domain
    )
    attend.attribute.extend(node.attribute)
    return [
        make_node("MatMul", [states, weight], [f"{out}.projected"]),
        make_node("Split", [f"{out}.projected"], [queries, keys, values], axis=-1, num_outputs=3),
        attend,
    ]


def _round_states(model: onnx.ModelProto, name: str, low: float, high: float) -> list[NodeProto]:
    """Return nodes that round the tensor ``name`` to 256 steps from ``low`` to ``high``, one of which is zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.uint8(round(-low / scale))
    model.graph.initializer.append(from_array(np.array(scale, dtype=np.float32), f"{name}.step"))
    model.graph.initializer.append(from_array(np.array(zero), f"{name}.zero"))
    by = [f"{name}.step", f"{name}.zero"]
    return [
        make_node("QuantizeLinear", [name, *by], [f"{name}.codes"]),
        make_node("DequantizeLinear", [f"{name}.codes", *by], [f"{name}.rounded"]),
    ]


def _round_matrix(model: onnx.ModelProto, matrix: TensorProto) -> list[NodeProto]:
    """Store ``matrix [in, out]`` as unsigned codes around 128, a scale for each output; return nodes that widen it."""
    codes, scales = quantize_blocks(to_array(matrix).T, matrix.dims[0])
    parts = {
        "codes": np.ascontiguousarray(codes[:, 0].T),
        "scales": scales[:, 0].astype(np.float32),
        "zeros": np.full(matrix.dims[1], 128, dtype=np.uint8),
    }
    names = [f"{matrix.name}.{part}" for part in parts]
    model.graph.initializer.extend(from_array(values, name) for name, values in zip(names, parts.values(), strict=True))
    return [make_node("DequantizeLinear", names, [f"{matrix.name}.rounded"], axis=1)]


def _replace_nodes(model: onnx.ModelProto, nodes: Sequence[NodeProto]) -> None:
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)
