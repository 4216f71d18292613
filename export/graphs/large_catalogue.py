"""The inference graph for a large catalogue: the item table has a separate file, which is read once per query.

Beyond some hundred thousand items, reading the item table dominates the time of a query, and its copies dominate the
memory. So the table is stored once, in 8 bits (:mod:`lightrec.export.writers.large_table`). ONNX Runtime memory-maps
the file and copies nothing, because pieces of the table are default values of graph inputs, which the runtime neither
folds nor repacks.

Scoring has two passes, and the answer is exact. The first pass uses only integers: it multiplies the table by the state
in 7 unsigned bits (so that nothing overflows on processors without integer dot products), and keeps only the best score
of every group of 64 consecutive items. The second pass scores the items of the best groups, with the state in single
precision.

The difference between the passes is bounded: by Cauchy-Schwarz, the rounding error of the state changes no score by
more than the length of the error vector times the largest length of an item's codes. Among the groups without masked
items, the k-th best group score guarantees k items with at least that score. So every group whose score is at most
twice the bound below it is scored again, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from lightrec.errors import ModelError
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.large_table import GROUP, Layout, turn

CENTRE = 64
"""The unsigned code of a zero in the state; codes differ from it by at most 63."""
SLACK = 4
"""Margin added to the bound, in units of the first pass's scores, for rounding errors of the second pass in single
precision."""
LOWEST = -(2**24)
"""A score below every score of the first pass."""
LINES = "table.lines."
"""Name prefix, before a number, of the graph inputs whose default values are pieces of the table,
int8 ``[lines, 64]``."""
TABLE_FILE = "items.bin"


def attach_table(encoder: onnx.ModelProto, layout: Layout, location: str = TABLE_FILE) -> onnx.ModelProto:
    """Return a graph of :func:`~lightrec.export.writers.to_onnx.to_onnx` with its table replaced by ``location``.

    Args:
        encoder: the graph of the same student with a small catalogue; the part after its state is replaced.
        layout: layout of the table.
        location: name of the table's file, in the folder of the graph.
    """
    graph = encoder.graph
    gather = next(node for node in graph.node if node.op_type == "Gather" and node.input[0] == TABLE)
    score = next(node for node in graph.node if TABLE in node.input and node is not gather)
    state = next(name for name in score.input if name != TABLE)
    tail = _Tail(layout, location)
    tail.read_rows(gather.input[1], gather.output[0])
    reader, tail.nodes = tail.nodes, []
    tail.score(state)
    parts = [reader if node is gather else [node] for node in _ancestors(graph.node, state)]
    nodes = [*(node for part in parts for node in part), *tail.nodes]

    model = onnx.ModelProto()
    model.CopyFrom(encoder)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([*kept, *tail.initializers])
    model.graph.input.extend(make_tensor_value_info(piece, TensorProto.INT8, tail.shape) for piece in tail.pieces)
    if not any(opset.domain == "" for opset in model.opset_import):
        raise ModelError("The encoder's graph names no opset: export it with lightrec's to_onnx.")
    return model


class _Tail:
    """Builder of the nodes that use the table.

    In the comments: B users, T items of a history, H items to mask, G groups, C chosen groups.
    """

    def __init__(self, layout: Layout, location: str):
        self.layout = layout
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._count = 0
        self.shape = [layout.piece_blocks * layout.depth * layout.block_groups, GROUP]
        self.pieces = [self._piece(number, location) for number in range(layout.n_pieces)]
        self.rotation = turn(layout.width).astype(np.float32)
        self.last = self._const("table.last", [-1])
        self.group = self._const("table.group", GROUP)
        self.lowest = self._const("table.lowest", np.int32(LOWEST))
        self.nothing = self._const("table.none", np.float32("-inf"))

    def read_rows(self, items: str, output: str) -> None:
        """Add the nodes that read the vectors ``[B, T, d]`` of ``items [B, T]``."""
        flat = self._add("Reshape", items, self.last)
        # Sort the items to the order of the pieces, and restore their own order afterwards.
        self.nodes.append(
            make_node("TopK", [flat, self._add("Shape", flat)], ["table.sorted", "table.from"], largest=0)
        )
        self.nodes.append(
            make_node("TopK", ["table.from", self._add("Shape", flat)], ["table.all", "table.to"], largest=0)
        )
        lane = self._add("Unsqueeze", self._add("Mod", "table.sorted", self.group), self.last)
        numbers, piece = self._line_numbers(self._add("Div", "table.sorted", self.group))
        places = self._add("Add", self._add("Mul", numbers, self.group), lane)
        codes = self._from_pieces([self._add("Reshape", piece, self.last) for piece in self.pieces], places, piece)
        codes = self._add("Cast", self._add("Gather", codes, "table.to"), to=TensorProto.FLOAT)
        depth = self._const("table.depth", [self.layout.depth])
        codes = self._add("Reshape", codes, self._add("Concat", self._add("Shape", items), depth, axis=0))
        back = self._const("table.back", self.rotation.T * np.float32(self.layout.scale))
        self.nodes.append(make_node("MatMul", [codes, back], [output]))

    def score(self, state: str) -> None:
        """Add the nodes from the state ``[B, d]`` to ``items`` and ``scores``."""
        turned = self._add("MatMul", state, self._const("table.turn", self.rotation))
        rounded, distance = self._rounded(turned)
        best = self._best_of_groups(rounded)
        hidden = self._hidden()
        asked = self._add("Clip", "k", self._const("table.one", 1), self._const("table.items", self.layout.n_items))
        chosen = self._chosen(best, distance, self._add("Div", hidden, self.group), asked)
        scores = self._exact(turned, chosen)
        self._answer(self._masked(scores, chosen, hidden), chosen, asked)

    def _rounded(self, turned: str) -> tuple[str, str]:
        """Return the state in 7 unsigned bits, ``[B, depth]``, with a scale for each user, and the largest difference,
        int32 ``[B, 1]``, between the scores of two groups whose order the rounding could swap."""
        size = self._add("ReduceMax", self._add("Abs", turned), self.last)
        size = self._add("Max", size, self._const("table.tiny", np.float32(1e-30)))
        step = self._add("Div", size, self._const("table.steps", np.float32(CENTRE - 1)))
        exact = self._add("Div", turned, step)
        codes = self._add("Round", exact)
        rest = self._add("ReduceL2", self._add("Sub", exact, codes), self.last)
        twice = self._add("Mul", rest, self._const("table.longest", np.float32(2 * self.layout.longest)))
        distance = self._add("Add", twice, self._const("table.slack", np.float32(SLACK)))
        unsigned = self._add("Add", codes, self._const("table.centre", np.float32(CENTRE)))
        return self._add("Cast", unsigned, to=TensorProto.UINT8), self._add("Cast", distance, to=TensorProto.INT32)

    def _best_of_groups(self, rounded: str) -> str:
        """Return the result of the first pass: the best score of each group, int32 ``[B, G]``."""
        layout, best = self.layout, []
        shape = self._const("table.blocks", [layout.piece_blocks, layout.depth, layout.block_items])
        by_group = self._const("table.by_group", [layout.piece_blocks, -1, layout.block_groups, GROUP])
        for piece in self.pieces:
            # Reshape gives the same memory another shape: the runtime copies nothing.
            products = self._add("MatMulInteger", rounded, self._add("Reshape", piece, shape))  # [blocks, B, items]
            best.append(self._add("ReduceMax", self._add("Reshape", products, by_group), self.last, keepdims=0))
        joined = self._flat(self._add("Transpose", self._add("Concat", *best, axis=0), perm=[1, 0, 2]))
        start, end, axis = self._const("table.start", [0]), self._const("table.groups", [layout.n_groups]), self.last
        return self._add("Slice", joined, start, end, axis)

    def _hidden(self) -> str:
        """Return the items to mask, int64 ``[B, H]``: seen, excluded, and those that pad the last group."""
        zero, one = self._const("table.zero", 0), self._const("table.one", 1)
        first = self._add(
            "Slice", "history", self._const("table.start", [0]), self._const("table.first", [1]), self.last
        )
        size = self._add("Squeeze", self._add("Shape", "history", start=1, end=2))
        real = self._add("Less", self._add("Range", zero, size, one), self._add("Unsqueeze", "length", self.last))
        # Padding is replaced by the first item of the history, which is masked anyway.
        seen = self._add("Where", real, "history", first)
        excluded = self._add("Where", self._add("Less", "exclude", zero), first, "exclude")
        users = self._add("Shape", "length")
        fillers = np.arange(self.layout.n_items, self.layout.n_groups * GROUP)
        shape = self._add("Concat", users, self._const("table.n_fillers", [len(fillers)]), axis=0)
        return self._add(
            "Concat", seen, excluded, self._add("Expand", self._const("table.fillers", fillers), shape), axis=1
        )

    def _chosen(self, best: str, distance: str, hidden_groups: str, asked: str) -> str:
        """Return the groups that may hold an answer for any of the users, ascending, int64 ``[C]``."""
        last, groups = self.last, self._const("table.groups", [self.layout.n_groups])
        start, end = self._const("table.start", [0]), self._const("table.end", [2**31])
        lowest = self._add("Expand", self.lowest, self._add("Shape", hidden_groups))
        clean = self._add("ScatterElements", best, hidden_groups, lowest, axis=1)
        self.nodes.append(make_node("TopK", [clean, self._add("Min", asked, groups)], ["table.best", "table.places"]))
        promised = self._add("Slice", "table.best", last, end, last)  # [B, 1]
        # If more items are requested than there are groups, all groups are scored.
        promised = self._add("Where", self._add("LessOrEqual", asked, groups), promised, self.lowest)
        near = self._add("GreaterOrEqual", best, self._add("Sub", promised, distance))
        found = self._add("Slice", self._add("NonZero", near), self._const("table.first", [1]), end, start)  # [1, M]
        self.nodes.append(make_node("Unique", [found], ["table.chosen"]))
        return "table.chosen"

    def _exact(self, turned: str, chosen: str) -> str:
        """Return the result of the second pass: the scores of the chosen groups' items, float32 ``[B, C * 64]``."""
        lines = self._from_pieces(self.pieces, *self._line_numbers(chosen))  # [C, depth, 64]
        codes = self._add("Cast", lines, to=TensorProto.FLOAT)
        scaled = self._add("Mul", turned, self._const("table.scale", np.float32(self.layout.scale)))
        return self._flat(self._add("Transpose", self._add("MatMul", scaled, codes), perm=[1, 0, 2]))

    def _masked(self, scores: str, chosen: str, hidden: str) -> str:
        """Set the scores of masked items to minus infinity; 64 more columns absorb masked items of other groups."""
        count = self._add("Shape", chosen)
        ranks = self._add(
            "Range", self._const("table.zero", 0), self._add("Squeeze", count), self._const("table.one", 1)
        )
        slots = self._add("Expand", count, self._const("table.groups", [self.layout.n_groups]))
        slots = self._add("ScatterElements", slots, chosen, ranks)
        slot = self._add("Gather", slots, self._add("Div", hidden, self.group))
        place = self._add("Add", self._add("Mul", slot, self.group), self._add("Mod", hidden, self.group))
        padded = self._add("Pad", scores, self._const("table.pads", [0, 0, 0, GROUP]), self.nothing)
        nothing = self._add("Expand", self.nothing, self._add("Shape", hidden))
        return self._add("ScatterElements", padded, place, nothing, axis=1)

    def _answer(self, scores: str, chosen: str, asked: str) -> None:
        """Add the outputs: the k best of ``scores``, without masked items."""
        asked = self._add("Min", asked, self._add("Shape", scores, start=1, end=2))
        self.nodes.append(make_node("TopK", [scores, asked], ["table.top", "table.ranks"]))
        groups = self._add("Concat", chosen, self._const("table.start", [0]), axis=0)
        group = self._add("Gather", groups, self._add("Div", "table.ranks", self.group))
        lane = self._add("Mod", "table.ranks", self.group)
        found = self._add("Add", self._add("Mul", group, self.group), lane)
        real = self._add("Greater", "table.top", self.nothing)
        counts = self._add("ReduceSum", self._add("Cast", real, to=TensorProto.INT64), self.last, keepdims=0)
        most = self._add("ReduceMax", counts, keepdims=1)
        kept = self._add("Where", real, found, self._const("table.nobody", -1))
        for tensor, output in ((kept, "items"), ("table.top", "scores")):
            self.nodes.append(make_node("Slice", [tensor, self._const("table.start", [0]), most, self.last], [output]))

    def _line_numbers(self, groups: str) -> tuple[str, str]:
        """Return where the codes of ``groups [n]`` are: lines in a piece, int64 ``[n, depth]``, and the piece."""
        layout = self.layout
        size = self._const("table.piece_groups", layout.piece_blocks * layout.block_groups)
        piece, inside = self._add("Div", groups, size), self._add("Mod", groups, size)
        width = self._const("table.block_groups", layout.block_groups)
        block, column = self._add("Div", inside, width), self._add("Mod", inside, width)
        lines = self._const("table.block_lines", layout.block_groups * layout.depth)
        first = self._add("Add", self._add("Mul", block, lines), column)
        steps = self._const("table.line_steps", np.arange(layout.depth) * layout.block_groups)
        return self._add("Add", self._add("Unsqueeze", first, self.last), steps), piece

    def _from_pieces(self, pieces: Sequence[str], places: str, piece: str) -> str:
        """Return the values at the indices ``places [n, depth]`` in the pieces ``piece [n]``, which is ascending."""
        if len(pieces) == 1:
            return self._add("Gather", pieces[0], places)
        every = self._const("table.pieces", np.arange(len(pieces)))
        own = self._add(
            "Cast", self._add("Equal", self._add("Unsqueeze", piece, self.last), every), to=TensorProto.INT64
        )
        counts = self._add("ReduceSum", own, self._const("table.start", [0]), keepdims=0)
        parts = [f"{places}.{number}" for number in range(len(pieces))]
        self.nodes.append(make_node("Split", [places, counts], parts, axis=0))
        return self._add("Concat", *map(self._add, ["Gather"] * len(parts), pieces, parts), axis=0)

    def _flat(self, name: str) -> str:
        return self._add("Reshape", name, self._const("table.flat", [0, -1]))

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        output = f"table.{kind}.{self._count}"
        self.nodes.append(make_node(kind, list(inputs), [output], **attributes))
        return output

    def _const(self, name: str, value: object) -> str:
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(from_array(np.asarray(value), name))
        return name

    def _piece(self, number: int, location: str) -> str:
        size = int(np.prod(self.shape))
        tensor = TensorProto(name=f"{LINES}{number}", data_type=TensorProto.INT8, dims=self.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", number * size), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        return tensor.name


def _ancestors(nodes: Sequence[NodeProto], name: str) -> list[NodeProto]:
    """Return the nodes from which ``name`` is computed, in their order."""
    needed, kept = {name}, []
    for node in reversed(nodes):
        if any(output in needed for output in node.output):
            kept.append(node)
            needed |= set(node.input) - {""}  # an empty name is an omitted optional input
    return kept[::-1]
