"""More rows for the item table of an exported graph; nothing else in it changes, so old items score as before.

Three things in a graph know the size of the catalogue: the item table (in 8 bits also its scales); the largest k,
which is N; and, in a traced graph, the padding index N, whose row in the table stays the last.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx.numpy_helper import from_array, to_array

from lightrec.errors import BundleError
from lightrec.export.quantize import TABLE, quantize_blocks


def grow_onnx(model: onnx.ModelProto, vectors: np.ndarray, n_items: int) -> None:
    """Append ``vectors`` float32 ``[n, d]`` to the items of a graph of
    :func:`~lightrec.export.to_onnxruntime.to_onnxruntime`, or of a smaller copy by :mod:`~lightrec.export.quantize`,
    in place and in the graph's own precision; ``n_items`` is how many it has. Also for the graphs of
    :mod:`~lightrec.export.to_parts`, not all of which know the largest k.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    if f"{TABLE}.codes" in tensors:
        bits = _table_bits(model)
        codes, scales = quantize_blocks(vectors, tensors[f"{TABLE}.codes"].dims[2] * 8 // bits, bits)
        parts = {f"{TABLE}.codes": codes, f"{TABLE}.scales": scales}
    else:
        parts = {next((name for name in (f"{TABLE}.fp16", TABLE) if name in tensors), TABLE): vectors}
    limits = [node.input[2] for node in model.graph.node if node.op_type == "Clip" and node.input[0] == "k"]
    ranks = any(value.name == "k" for value in model.graph.input)
    if not set(parts) <= set(tensors) or len(limits) != ranks or not set(limits) <= set(tensors):
        raise BundleError("The ONNX model has no item table that can grow: export its run again.")
    for name, rows in parts.items():
        _replace(tensors[name], _insert(to_array(tensors[name]), rows, n_items))
    for limit in limits:
        _replace(tensors[limit], to_array(tensors[limit]) + len(vectors))
    for node in model.graph.node:
        if node.op_type == "MatMulNBits" and f"{TABLE}.codes" in node.input:
            next(attribute for attribute in node.attribute if attribute.name == "N").i += len(vectors)


def _table_bits(model: onnx.ModelProto) -> int:
    """Bits of a number of the quantized table, as the nodes that read it say."""
    for node in model.graph.node:
        if f"{TABLE}.codes" in node.input:
            for attribute in node.attribute:
                if attribute.name == "bits":
                    return attribute.i
    raise BundleError("The ONNX model has no item table that can grow: export its run again.")


def grow_openvino(source: Path, target: Path, n_items: int, vectors: np.ndarray) -> None:
    """The same for a graph of :func:`~lightrec.export.to_openvino.to_openvino`, from one .xml file to another.

    Args:
        source: the graph to read.
        target: where to write the larger one; its weights go beside it.
        n_items: size of the catalogue of ``source``, N.
        vectors: float32 ``[n, d]``.
    """
    model = openvino.Core().read_model(source)
    constants = {op.get_friendly_name(): op for op in model.get_ops() if op.get_type_name() == "Constant"}
    table = {name: op for name, op in constants.items() if name.startswith(TABLE) and op.shape[0] == n_items + 1}
    limits = [op for op in model.get_ops() if op.get_type_name() == "Clamp" and op.get_attributes()["max"] == n_items]
    padding = [
        op
        for op in constants.values()
        if op.get_element_type() == openvino.Type.i64 and op.data.ndim == 0 and op.data == n_items
    ]
    if not table or not limits or not padding:
        raise BundleError("The OpenVINO model has no item table that can grow: export its run again.")
    for name, rows in _openvino_parts({name: op.data for name, op in table.items()}, vectors).items():
        _swap(table[name], _insert(table[name].data, rows, n_items))
    for op in padding:
        _swap(op, op.data + len(vectors))
    for op in limits:
        op.set_attribute("max", float(n_items + len(vectors)))
    model.validate_nodes_and_infer_types()
    openvino.save_model(model, target, compress_to_fp16=False)  # what is in half precision stays so


def _openvino_parts(table: dict[str, np.ndarray], vectors: np.ndarray) -> dict[str, np.ndarray]:
    """The new rows of each constant of the table: values, or 8-bit codes and a scale for each row."""
    codes = next((name for name, data in table.items() if data.dtype == np.int8), None)
    if codes is None:
        return dict.fromkeys(table, vectors)
    scales = next(name for name in table if name != codes)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # The scale as it is stored, in half precision, decides the codes.
    scale = np.where(largest > 0, largest / 127, 1).astype(table[scales].dtype)
    rows = np.clip(np.rint(vectors / scale.astype(np.float32)), -127, 127)
    return {codes: rows, scales: scale}


def _insert(table: np.ndarray, rows: np.ndarray, n_items: int) -> np.ndarray:
    """``rows`` behind the items of ``table``, in front of the padding if it has such a row, in its type."""
    with np.errstate(over="ignore"):
        rows = rows.astype(table.dtype)
    if not np.isfinite(rows).all():
        raise BundleError("A vector of a new item is too large for the half precision of this bundle: check its scale.")
    return np.concatenate([table[:n_items], rows, table[n_items:]])


def _replace(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(from_array(np.asarray(values), tensor.name))


def _swap(constant: openvino.Node, values: np.ndarray) -> None:
    grown = openvino.op.Constant(np.array(values, order="C"))  # a number stays one: ascontiguousarray makes it a row
    grown.set_friendly_name(constant.get_friendly_name())
    constant.output(0).replace(grown.output(0))
