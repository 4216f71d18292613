"""Make smaller copies of an exported graph: weights in half precision or 8 bits, or the item table in 4 bits.

The graphs compute in single precision. Weights that are stored smaller are widened by nodes that depend only on
constants, which a runtime folds once when it loads the file: small on disk, as fast as before. The item table in 8 or
4 bits is the exception: it makes up most of the file and of the work, so it stays quantized in memory as well and is
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

SHRINKS = np.linspace(0.6, 1.1, 11)
"""Factors tried on the scale that covers the largest value of a block, to find the smallest error in 4 bits."""

SMALLEST_SCALE = 2.0**-24
"""The smallest positive number in half precision."""

MATRICES = {"MatMul": {1: 0}, "Gemm": {1: 0}, "Attention": {1: 0}, "GRU": {1: 2, 2: 2}}
"""The inputs of each operator that are matrices of a layer, and the axis of each along which products are summed."""

GATES = "recurrent.weight_"
"""Name prefix, as in the student's state, of the matrices ``[3 * d, d]`` of a GRU. The graph splits them into gates and
reorders these before the GRU reads them. Products are summed along their last axis."""


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every weight in half precision; a Cast before the nodes that read it widens it again.

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

    The table is one uint8 initializer with a scale for each block of an item's vector. The input side is one
    GatherBlockQuantized, which widens only the rows of the history; the output side is one MatMulNBits, whose
    accuracy level 4 also quantizes the state it multiplies. (ONNX Runtime's own quantizer stores the table twice and
    runs slower than single precision.) Scales are stored in half precision, and the codes are computed from the
    rounded scales. Biases, norms and position tables, a few percent of the file, stay as they are.

    This suits requests for one user at a time: on a processor with only AVX2, 100,000 items take half the time of
    single precision, but batches of 64 users take about one and a half times as long.
    """
    return _quantized(_copy(model, "int8"), bits=8)


def to_int4(model: onnx.ModelProto) -> onnx.ModelProto:
    """Do as :func:`to_int8`, but with 4 bits per number of the item table: a student twice as wide takes as many bytes.

    The scale of each block is chosen with :data:`SHRINKS` for the smallest squared error. The matrices of the layers
    stay in 8 bits, with almost no loss.
    """
    return _quantized(_copy(model, "int4"), bits=4)


def _quantized(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Quantize ``model`` in place, its item table to ``bits`` and the matrices of its layers to 8 bits; return it."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    if TABLE not in weights:
        raise ModelError(f"The graph holds no item table named {TABLE}: export it with lightrec's to_onnx.")
    width = weights[TABLE].dims[1]
    block = block_size(width)
    codes, scales = quantize_blocks(to_array(weights[TABLE]), block, bits)
    _store(model, weights[TABLE], {"codes": codes, "scales": scales})
    model.graph.initializer.extend(_table_constants(codes.shape[1] * block, width))

    widen = [
        make_node("Cast", [f"{TABLE}.scales"], [f"{TABLE}.wide"], to=TensorProto.FLOAT),
        make_node("Unsqueeze", [f"{TABLE}.wide", f"{TABLE}.last_axis"], [f"{TABLE}.by_block"]),
    ]
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if TABLE in node.input:
            nodes += (
                _gather(node, codes, bits, width) if node.op_type == "Gather" else [_score(node, codes, bits, width)]
            )
            continue
        for place, axis in _matrices(node).items():
            if node.input[place] in weights:
                widen += _quantize_matrix(model, weights.pop(node.input[place]), axis)
        nodes.append(node)
    _set_nodes(model, [*widen, *nodes])
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(make_opsetid("com.microsoft", 1))
    return model


def _matrices(node: NodeProto) -> dict[int, int]:
    """Return the inputs of ``node`` that are a layer's matrices, each with the axis along which products are summed."""
    return {0: 1} if node.input and node.input[0].startswith(GATES) else MATRICES.get(node.op_type, {})


def block_size(width: int) -> int:
    """Return the largest power of two from 16 to 256 that divides ``width``; 16 if none does (zeros are appended)."""
    return max((size for size in (16, 32, 64, 128, 256) if width % size == 0), default=16)


def quantize_blocks(table: np.ndarray, block: int, bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Quantize each block of ``block`` values of a row with its own scale, rounding to nearest.

    Args:
        table: float32 ``[rows, width]``.
        block: number of values that share a scale; even.
        bits: 8 or 4.

    Returns:
        codes uint8 ``[rows, blocks, block * bits / 8]`` and scales float16 ``[rows, blocks]``. In 8 bits a value is
        ``(code - 128) * scale``, with an error of at most half a scale, plus that of rounding the scale; in 4 bits it
        is ``(code - 8) * scale``, with two codes in a byte, the first in its lower half.

    >>> codes, scales = quantize_blocks(np.array([[-127, 0, 50, 100]], dtype=np.float32), 4)
    >>> codes.tolist(), scales.tolist()
    ([[[1, 128, 178, 228]]], [[1.0]])
    """
    padding = -table.shape[1] % block
    blocks = np.pad(table, ((0, 0), (0, padding))).reshape(len(table), -1, block)
    if bits == 8:
        scales = _scales(blocks, axis=2)
        return (_codes(blocks, scales) + 128).astype(np.uint8), scales[:, :, 0]
    scales = _best_scales(blocks)
    codes = (_codes(blocks, scales, -8, 7) + 8).astype(np.uint8)
    return codes[:, :, 0::2] | codes[:, :, 1::2] << 4, scales[:, :, 0]


def _scales(values: np.ndarray, axis: int, most: float = 127) -> np.ndarray:
    """Return the scale, in half precision, that maps the largest magnitude along ``axis`` to ``most``; 1 if all are 0.

    Raises:
        ModelError: if a value is not finite or too large (beyond ``most`` * 65,504).
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    with np.errstate(over="ignore"):
        scales = np.where(largest == 0, 1, np.maximum(largest / most, SMALLEST_SCALE)).astype(np.float16)
    if not np.isfinite(scales).all():
        raise ModelError("A weight is too large, or no number, for integers: export with --precision fp32.")
    return scales


def _best_scales(blocks: np.ndarray) -> np.ndarray:
    """Return for each block, of the scales given by :data:`SHRINKS`, the one with the smallest squared 4-bit error."""
    tried = [_scales(blocks, axis=2, most=7.5 / factor) for factor in SHRINKS]
    errors = [((_codes(blocks, scales, -8, 7) * scales - blocks) ** 2).sum(axis=2) for scales in tried]
    return np.choose(np.argmin(errors, axis=0)[:, :, None], tried)


def _codes(values: np.ndarray, scales: np.ndarray, low: int = -127, high: int = 127) -> np.ndarray:
    """Return ``values / scales`` as whole numbers from ``low`` to ``high``."""
    return np.clip(np.rint(values / scales.astype(np.float32)), low, high)


def _quantize_matrix(model: onnx.ModelProto, tensor: TensorProto, axis: int) -> list[NodeProto]:
    """Store a matrix as int8 with a scale for each output, inputs along ``axis``; return the nodes that widen it.

    The nodes are Cast and Mul rather than DequantizeLinear: ONNX Runtime folds these once, when it loads the file.
    """
    matrix, name = to_array(tensor), tensor.name
    scales = _scales(matrix, axis)
    _store(model, tensor, {"codes": _codes(matrix, scales).astype(np.int8), "scales": scales})
    return [
        make_node("Cast", [f"{name}.codes"], [f"{name}.wide"], to=TensorProto.FLOAT),
        make_node("Cast", [f"{name}.scales"], [f"{name}.by"], to=TensorProto.FLOAT),
        make_node("Mul", [f"{name}.wide", f"{name}.by"], [name]),
    ]


def _table_constants(stored: int, width: int) -> list[TensorProto]:
    constants = [from_array(np.array([-1]), f"{TABLE}.last_axis"), from_array(np.array([0, 0, -1]), f"{TABLE}.shape")]
    if stored > width:  # the last block of each vector is padded
        constants.append(from_array(np.array([0]), f"{TABLE}.first"))
        constants.append(from_array(np.array([width]), f"{TABLE}.width"))
    return constants


def _gather(node: NodeProto, codes: np.ndarray, bits: int, width: int) -> list[NodeProto]:
    """Return nodes that read the history's rows from the quantized table: items ``[B, T]`` to vectors ``[B, T, d]``."""
    output, blocks, block = node.output[0], codes.shape[1], codes.shape[2] * 8 // bits
    read = make_node(
        "GatherBlockQuantized",
        [f"{TABLE}.codes", node.input[1], f"{TABLE}.by_block"],
        [f"{output}.blocks"],
        domain="com.microsoft",
        gather_axis=0,
        quantize_axis=2,
        block_size=block,
        bits=bits,
    )
    if blocks * block == width:
        return [read, make_node("Reshape", [f"{output}.blocks", f"{TABLE}.shape"], [output])]
    return [
        read,
        make_node("Reshape", [f"{output}.blocks", f"{TABLE}.shape"], [f"{output}.padded"]),
        make_node("Slice", [f"{output}.padded", f"{TABLE}.first", f"{TABLE}.width", f"{TABLE}.last_axis"], [output]),
    ]


def _score(node: NodeProto, codes: np.ndarray, bits: int, width: int) -> NodeProto:
    """Return the node that scores the states ``[B, d]`` against every row of the quantized table: ``[B, N + 1]``."""
    return make_node(
        "MatMulNBits",
        [node.input[0], f"{TABLE}.codes", f"{TABLE}.wide"],
        [node.output[0]],
        domain="com.microsoft",
        K=width,
        N=codes.shape[0],
        bits=bits,
        block_size=codes.shape[2] * 8 // bits,
        accuracy_level=4,
    )


def _copy(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    set_model_props(copy, {**properties, "precision": precision})
    return copy


def _store(model: onnx.ModelProto, tensor: TensorProto, parts: dict[str, np.ndarray]) -> None:
    """Replace an initializer by its ``parts``, whose names are the initializer's with a suffix."""
    name = tensor.name
    model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(from_array(array, f"{name}.{part}") for part, array in parts.items())


def _set_nodes(model: onnx.ModelProto, nodes: list[NodeProto]) -> None:
    nodes = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
