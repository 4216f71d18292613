"""Resize the item table of an exported graph; nothing else changes, so items score as before.

These parts depend on the size of the catalogue: the item table (when quantized, also its scales) and the item-item
weights, if there are any; the largest k, which is N; the number of items in the graph that scores candidates; and, in
a traced graph, the padding index N, whose row remains the last one of each table. New items get no item-item weights;
weights from and to removed items are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx.numpy_helper import from_array, to_array

from lightrec.errors import BundleError
from lightrec.export.graphs.builder import NEIGHBOURS, VOTES
from lightrec.export.precision.quantize import TABLE, quantize_blocks
from lightrec.export.writers.to_parts import CATALOGUE

NO_TABLE = "The {} model has no item table that can change its size: export its run again."

Tables = Mapping[str, np.ndarray]
"""The arrays of an item table by name, with items along the first axis: values, or codes and scales."""
Change = Callable[[Tables], Tables]
"""Function that returns the new arrays for the old ones."""


def grow_onnx(model: onnx.ModelProto, vectors: np.ndarray, n_items: int) -> None:
    """Append ``vectors`` float32 ``[n, d]`` to the item table of a graph, in place and in the graph's own precision.

    The graph is one of :func:`~lightrec.export.writers.to_onnxruntime.to_onnxruntime`, a smaller copy made by
    :mod:`~lightrec.export.precision.quantize`, or one of the graphs of :mod:`~lightrec.export.writers.to_parts`, not
    all of which contain the largest k. ``n_items`` is its number of items before.
    """

    def grown(tables: Tables) -> Tables:
        rows = dict.fromkeys(tables, vectors)
        if f"{TABLE}.codes" in tables:
            bits = _table_bits(model)
            codes, scales = quantize_blocks(vectors, tables[f"{TABLE}.codes"].shape[2] * 8 // bits, bits)
            rows = {f"{TABLE}.codes": codes, f"{TABLE}.scales": scales}
        rows |= _no_neighbours(tables, len(vectors))
        return {name: _insert(table, rows[name], n_items) for name, table in tables.items()}

    _resize_onnx(model, grown, len(vectors))


def shrink_onnx(model: onnx.ModelProto, kept: np.ndarray, n_items: int) -> None:
    """Remove, in place, all item rows but ``kept``, ascending, from a graph that :func:`grow_onnx` accepts."""
    _resize_onnx(model, lambda tables: _chosen(tables, kept, n_items), len(kept) - n_items)


def grow_openvino(source: Path, target: Path, n_items: int, vectors: np.ndarray) -> None:
    """Append ``vectors`` to the item table of a graph of :func:`~lightrec.export.writers.to_openvino.to_openvino`.

    Args:
        source: the .xml file to read.
        target: the .xml file to write; its weights go into the same folder.
        n_items: size of the catalogue of ``source``, N.
        vectors: float32 ``[n, d]``.
    """

    def grown(tables: Tables) -> Tables:
        rows = {**_openvino_rows(_item_table(tables), vectors), **_no_neighbours(tables, len(vectors))}
        return {name: _insert(table, rows[name], n_items) for name, table in tables.items()}

    _resize_openvino(source, target, n_items, grown, len(vectors))


def shrink_openvino(source: Path, target: Path, n_items: int, kept: np.ndarray) -> None:
    """Remove all item rows but ``kept``, ascending; the other arguments are as in :func:`grow_openvino`."""
    _resize_openvino(source, target, n_items, lambda tables: _chosen(tables, kept, n_items), len(kept) - n_items)


def _resize_onnx(model: onnx.ModelProto, change: Change, by: int) -> None:
    """Change the item table, which gets ``by`` more rows, and everything that depends on its size."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    quantized = (f"{TABLE}.codes", f"{TABLE}.scales")
    single = f"{TABLE}.fp16" if f"{TABLE}.fp16" in tensors else TABLE
    names = quantized if quantized[0] in tensors else (single,)
    voters = tuple(name for name in (NEIGHBOURS, VOTES) if name in tensors)
    limits = [node.input[2] for node in model.graph.node if node.op_type == "Clip" and node.input[0] == "k"]
    ranks = any(value.name == "k" for value in model.graph.input)
    if not set(names) <= set(tensors) or len(limits) != ranks or not set(limits) <= set(tensors):
        raise BundleError(NO_TABLE.format("ONNX"))
    for name, values in change({name: to_array(tensors[name]) for name in (*names, *voters)}).items():
        _replace(tensors[name], values)
    for limit in [*limits, *({CATALOGUE} & set(tensors))]:
        _replace(tensors[limit], to_array(tensors[limit]) + by)
    for node in model.graph.node:
        if node.op_type == "MatMulNBits" and f"{TABLE}.codes" in node.input:
            next(attribute for attribute in node.attribute if attribute.name == "N").i += by


def _table_bits(model: onnx.ModelProto) -> int:
    """Return the bits per number of the quantized table, an attribute of the nodes that read it."""
    for node in model.graph.node:
        if f"{TABLE}.codes" in node.input:
            for attribute in node.attribute:
                if attribute.name == "bits":
                    return attribute.i
    raise BundleError(NO_TABLE.format("ONNX"))


def _resize_openvino(source: Path, target: Path, n_items: int, change: Change, by: int) -> None:
    """Do as :func:`_resize_onnx`, from one .xml file to another; ``n_items`` is N of ``source``."""
    model = openvino.Core().read_model(source)
    constants = {op.get_friendly_name(): op for op in model.get_ops() if op.get_type_name() == "Constant"}
    prefixes = (TABLE, NEIGHBOURS, VOTES)
    table = {name: op for name, op in constants.items() if name.startswith(prefixes) and op.shape[0] == n_items + 1}
    limits = [op for op in model.get_ops() if op.get_type_name() == "Clamp" and op.get_attributes()["max"] == n_items]
    padding = [
        op
        for op in constants.values()
        if op.get_element_type() == openvino.Type.i64 and op.data.ndim == 0 and op.data == n_items
    ]
    if not table or not limits or not padding:
        raise BundleError(NO_TABLE.format("OpenVINO"))
    for name, values in change({name: op.data for name, op in table.items()}).items():
        _swap(table[name], values)
    for op in padding:
        _swap(op, op.data + by)
    for op in limits:
        op.set_attribute("max", float(n_items + by))
    model.validate_nodes_and_infer_types()
    openvino.save_model(model, target, compress_to_fp16=False)  # half-precision weights stay in half precision


def _openvino_rows(tables: Tables, vectors: np.ndarray) -> Tables:
    """Return the new rows of each constant of the table: values, or 8-bit codes and a scale for each row."""
    codes = next((name for name, data in tables.items() if data.dtype == np.int8), None)
    if codes is None:
        return dict.fromkeys(tables, vectors)
    scales = next(name for name in tables if name != codes)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # The codes are computed from the scale as stored, in half precision.
    scale = np.where(largest > 0, largest / 127, 1).astype(tables[scales].dtype)
    rows = np.clip(np.rint(vectors / scale.astype(np.float32)), -127, 127)
    return {codes: rows, scales: scale}


def _insert(table: np.ndarray, rows: np.ndarray, n_items: int) -> np.ndarray:
    """Insert ``rows``, in the type of ``table``, after its items and before its padding row, if there is one."""
    with np.errstate(over="ignore"):
        rows = rows.astype(table.dtype)
    if not np.isfinite(rows).all():
        raise BundleError("A vector of a new item is too large for the half precision of this bundle: check its scale.")
    return np.concatenate([table[:n_items], rows, table[n_items:]])


def _chosen(tables: Tables, kept: np.ndarray, n_items: int) -> Tables:
    """Return the rows ``kept`` of each array and its padding row, if any; item-item weights get the new indices."""
    chosen = {name: np.concatenate([table[kept], table[n_items:]]) for name, table in tables.items()}
    if NEIGHBOURS in chosen:
        places = np.full(n_items, -1)
        places[kept] = np.arange(len(kept))
        items = places[chosen[NEIGHBOURS]]
        chosen[VOTES] = np.where(items < 0, 0, chosen[VOTES]).astype(chosen[VOTES].dtype)
        chosen[NEIGHBOURS] = np.maximum(items, 0).astype(chosen[NEIGHBOURS].dtype)
    return chosen


def _item_table(tables: Tables) -> Tables:
    return {name: table for name, table in tables.items() if name not in (NEIGHBOURS, VOTES)}


def _no_neighbours(tables: Tables, n_new: int) -> Tables:
    """Return empty rows of item-item weights for new items, if the graph has such weights."""
    return {
        name: np.zeros((n_new, tables[name].shape[1]), tables[name].dtype)
        for name in (NEIGHBOURS, VOTES)
        if name in tables
    }


def _replace(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(from_array(np.asarray(values), tensor.name))


def _swap(constant: openvino.Node, values: np.ndarray) -> None:
    resized = openvino.op.Constant(np.array(values, order="C"))  # ascontiguousarray would turn a scalar into a row
    resized.set_friendly_name(constant.get_friendly_name())
    constant.output(0).replace(resized.output(0))
