"""Resize an item table that has a file to itself; see :mod:`lightrec.export.graphs.large_catalogue`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx.helper import make_node
from onnx.numpy_helper import to_array

from lightrec.errors import BundleError, DataError
from lightrec.export.graphs.large_catalogue import LINES, attach_table
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.large_table import BLOCK, Layout, Rows, balanced, read_codes, turn, write_codes


def grow_table(bundle: Path, folder: Path, files: Sequence[str], vectors: np.ndarray) -> None:
    """Append ``vectors`` float32 ``[n, d]`` to the table of ``bundle``; write graph and table into ``folder``.

    The codes of the old items stay unchanged; the new ones use the same scale.

    Args:
        bundle: the folder with ``files``.
        folder: the folder to write, with the same file names.
        files: names of the graph's and the table's file.
        vectors: vectors of the new items.

    Raises:
        BundleError: if an earlier lightrec wrote the graph.
        DataError: if a vector is too large for the scale.
    """
    encoder, layout = detach_table(bundle / files[0])
    old, new = read_codes(bundle / files[1], layout), _codes(vectors, layout.scale)
    n_items = layout.n_items

    def codes(start: int, stop: int) -> np.ndarray:
        added = new[max(0, start - n_items) : max(0, stop - n_items)]
        return np.concatenate([old(start, min(stop, n_items)), added]) if start < n_items else added

    _write(folder, files, encoder, dataclasses.replace(layout, n_items=n_items + len(new), block=BLOCK), codes)


def shrink_table(bundle: Path, folder: Path, files: Sequence[str], kept: np.ndarray) -> None:
    """Write graph and table with only the items ``kept``, ascending; the arguments are as in :func:`grow_table`."""
    encoder, layout = detach_table(bundle / files[0])
    old = read_codes(bundle / files[1], layout)

    def codes(start: int, stop: int) -> np.ndarray:
        items = kept[start:stop]
        return old(int(items[0]), int(items[-1]) + 1)[items - items[0]]

    _write(folder, files, encoder, dataclasses.replace(layout, n_items=len(kept), block=BLOCK), codes)


def detach_table(file: Path) -> tuple[onnx.ModelProto, Layout]:
    """Return the encoder and the layout from which
    :func:`~lightrec.export.graphs.large_catalogue.attach_table` made the graph in ``file``.

    Raises:
        BundleError: if an earlier lightrec wrote the graph.
    """
    model = onnx.load(file, load_external_data=False)
    values = {tensor.name: to_array(tensor) for tensor in model.graph.initializer if tensor.name.startswith(CONSTANTS)}
    if len(values) < len(CONSTANTS):
        raise BundleError(f"The item table of {file} was laid out by an earlier lightrec: export its run again.")
    blocks, scale, longest, n_items = (values[name].tolist() for name in CONSTANTS)
    layout = Layout(n_items, blocks[1] - 1, scale, longest / 2, blocks[2])

    nodes, tables = list(model.graph.node), [node for node in model.graph.node if _is_tables(node)]
    ids = next(n.input[0] for n in tables if n.op_type == "Reshape" and not n.input[0].startswith("table."))
    read = next(node for node in tables if "table.back" in node.input)
    state = next(node.input[0] for node in tables if "table.turn" in node.input)
    reader = make_node("Gather", [TABLE, ids], read.output)
    inputs = [value for value in model.graph.input if not value.name.startswith(LINES)]
    weights = [tensor for tensor in model.graph.initializer if not tensor.name.startswith("table.")]
    del model.graph.node[:], model.graph.input[:], model.graph.initializer[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(weights)
    model.graph.node.extend(reader if node is read else node for node in nodes if node is read or node not in tables)
    model.graph.node.append(make_node("MatMul", [state, TABLE], ["scores"]))
    return model, layout


CONSTANTS = ("table.blocks", "table.scale", "table.longest", "table.items")
"""Names of the constants from which the layout is read."""


def _is_tables(node: onnx.NodeProto) -> bool:
    return any(name.startswith("table.") for name in (*node.input, *node.output))


def _codes(vectors: np.ndarray, scale: float) -> np.ndarray:
    values = vectors @ turn(vectors.shape[1]).astype(np.float32) / np.float32(scale)
    far = np.flatnonzero(np.abs(values).max(axis=1) > 127.5)
    if len(far):
        raise DataError(f"The vector of new item {far[0] + 1} is longer than the table's scale allows: scale it down.")
    return balanced(values)


def _write(folder: Path, files: Sequence[str], encoder: onnx.ModelProto, layout: Layout, codes: Rows) -> None:
    longest = write_codes(folder / files[1], layout, codes)
    graph = attach_table(encoder, dataclasses.replace(layout, longest=longest), files[1])
    (folder / files[0]).write_bytes(graph.SerializeToString())
