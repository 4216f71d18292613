"""Smaller copies of an exported graph: weights in half precision or in 8 bits.

The graphs compute in single precision. Weights that are stored smaller are widened by nodes that depend on
constants alone, which a runtime folds once when it loads the file: small on disk, as fast as before. The item table
is the exception in 8 bits: it is most of the file and of the work, so it stays in 8 bits in memory as well and is
multiplied in integers.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_node, make_opsetid, set_model_props
from onnx.numpy_helper import from_array, to_array

from lightrec.errors import ModelError

TABLE = "item_embedding.weight"
"""The initializer that holds the item table ``[N + 1, d]``, under its name in the student's state."""

ZERO = 128
"""The unsigned code of zero: weight = (code - 128) * scale."""

MATRICES = {"MatMul": {1: 0}, "Gemm": {1: 0}, "GRU": {1: 2, 2: 2}}
"""The inputs of each operator that are matrices of a layer, and the axis of each along which products are summed."""


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every weight in half precision; a Cast in front of its readers widens it again.

    Raises:
        ModelError: if a weight is too large for half precision (beyond 65,504).
    """
    model = _copy(model, "fp16")
    widen: list[NodeProto] = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or not tensor.dims:
            continue
        with np.errstate(over="ignore"):
            half = to_array(tensor).astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelError(f"The weight {tensor.name} exceeds half precision: export with --precision fp32 or int8.")
        _store(model, tensor, {"fp16": half})
        widen.append(make_node("Cast", [f"{tensor.name}.fp16"], [tensor.name], to=TensorProto.FLOAT))
    _set_nodes(model, [*widen, *model.graph.node])
    return model


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the item table and the matrices of the layers in 8 bits, symmetric, and score in integers.

    The table is one uint8 initializer with a scale for each block of an item's vector. The input side gathers the
    rows of the history and widens these alone; the output side is one MatMulNBits, whose accuracy level 4 also
    quantizes the state it multiplies (ONNX Runtime's own quantizer stores the table twice and runs slower than
    single precision). Biases, norms and position tables, a few percent of the file, stay as they are.

    Made for one user at a time: on a processor with AVX2 alone, 100,000 items take half the time of single
    precision; batches of 64 users take about one and a half times as long.
    """
    model = _copy(model, "int8")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    if TABLE not in weights:
        raise ModelError(f"The graph holds no item table named {TABLE}: export it with lightrec's to_onnx.")
    width = weights[TABLE].dims[1]
    codes, scales = quantize_blocks(to_array(weights[TABLE]), block_size(width))
    _store(model, weights[TABLE], {"codes": codes, "scales": scales})
    model.graph.initializer.extend(_table_constants(width))

    widen: list[NodeProto] = []
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if TABLE in node.input:
            nodes += _gather(node) if node.op_type == "Gather" else [_score(node, codes, width)]
            continue
        for place, axis in MATRICES.get(node.op_type, {}).items():
            if node.input[place] in weights:
                widen += _quantize_matrix(model, weights.pop(node.input[place]), axis)
        nodes.append(node)
    _set_nodes(model, [*widen, *nodes])
    model.opset_import.append(make_opsetid("com.microsoft", 1))
    return model


def block_size(width: int) -> int:
    """The largest power of two from 16 to 256 that divides ``width``; 16 if none does (the rest is zeros)."""
    return max((size for size in (16, 32, 64, 128, 256) if width % size == 0), default=16)


def quantize_blocks(table: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantize each run of ``block`` values of a row by its own scale, rounding to nearest.

    Returns:
        codes uint8 ``[rows, blocks, block]`` and scales float32 ``[rows, blocks]``; a value is
        ``(code - 128) * scale``, wrong by at most half a scale.

    >>> codes, scales = quantize_blocks(np.array([[-127, 0, 50, 100]], dtype=np.float32), 4)
    >>> codes.tolist(), scales.tolist()
    ([[[1, 128, 178, 228]]], [[1.0]])
    """
    padding = -table.shape[1] % block
    blocks = np.pad(table, ((0, 0), (0, padding))).reshape(len(table), -1, block)
    scales = _scales(blocks, axis=2)
    return (np.rint(blocks / scales) + ZERO).astype(np.uint8), scales[:, :, 0]


def _scales(values: np.ndarray, axis: int) -> np.ndarray:
    """The scale that maps the largest magnitude along ``axis`` to 127; 1 where all values are zero."""
    largest = np.abs(values).max(axis=axis, keepdims=True)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def _quantize_matrix(model: onnx.ModelProto, tensor: TensorProto, axis: int) -> list[NodeProto]:
    """Store a matrix as int8 with a scale for each output, inputs along ``axis``; return the nodes that widen it.

    Cast and Mul rather than DequantizeLinear: ONNX Runtime folds these at load, and keeps that for every run.
    """
    matrix, name = to_array(tensor), tensor.name
    scales = _scales(matrix, axis)
    _store(model, tensor, {"codes": np.rint(matrix / scales).astype(np.int8), "scales": scales})
    return [
        make_node("Cast", [f"{name}.codes"], [f"{name}.wide"], to=TensorProto.FLOAT),
        make_node("Mul", [f"{name}.wide", f"{name}.scales"], [name]),
    ]


def _table_constants(width: int) -> list[TensorProto]:
    return [
        from_array(np.array(ZERO, dtype=np.float32), f"{TABLE}.zero"),
        from_array(np.array([-1]), f"{TABLE}.last_axis"),
        from_array(np.array([0]), f"{TABLE}.first"),
        from_array(np.array([width]), f"{TABLE}.width"),
        from_array(np.array([0, 0, -1]), f"{TABLE}.shape"),
    ]


def _gather(node: NodeProto) -> list[NodeProto]:
    """Read the rows of the history ``[B, T]`` from the quantized table and widen them to ``[B, T, d]``."""
    indices, output = node.input[1], node.output[0]

    def name(step: str) -> str:
        return f"{output}.{step}"

    return [
        make_node("Gather", [f"{TABLE}.codes", indices], [name("codes")]),
        make_node("Cast", [name("codes")], [name("float")], to=TensorProto.FLOAT),
        make_node("Sub", [name("float"), f"{TABLE}.zero"], [name("centred")]),
        make_node("Gather", [f"{TABLE}.scales", indices], [name("scales")]),
        make_node("Unsqueeze", [name("scales"), f"{TABLE}.last_axis"], [name("scale_of_block")]),
        make_node("Mul", [name("centred"), name("scale_of_block")], [name("blocks")]),
        make_node("Reshape", [name("blocks"), f"{TABLE}.shape"], [name("padded")]),
        make_node("Slice", [name("padded"), f"{TABLE}.first", f"{TABLE}.width", f"{TABLE}.last_axis"], [output]),
    ]


def _score(node: NodeProto, codes: np.ndarray, width: int) -> NodeProto:
    """Score the states ``[B, d]`` against every row of the quantized table: ``[B, N + 1]``."""
    return make_node(
        "MatMulNBits",
        [node.input[0], f"{TABLE}.codes", f"{TABLE}.scales"],
        [node.output[0]],
        domain="com.microsoft",
        K=width,
        N=codes.shape[0],
        bits=8,
        block_size=codes.shape[2],
        accuracy_level=4,
    )


def _copy(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    set_model_props(copy, {**properties, "precision": precision})
    return copy


def _store(model: onnx.ModelProto, tensor: TensorProto, parts: dict[str, np.ndarray]) -> None:
    """Replace an initializer by its ``parts``, named after it."""
    name = tensor.name
    model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(from_array(array, f"{name}.{part}") for part, array in parts.items())


def _set_nodes(model: onnx.ModelProto, nodes: list[NodeProto]) -> None:
    nodes = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
