"""The inference graph for a catalogue of many items: the table lies in a file of its own and is read once a query.

Beyond some hundred thousand items a query costs what reading the item table costs, and memory what its copies cost.
So the table is stored once, in 8 bits, in the order in which it is read; ONNX Runtime maps the file and copies nothing:
the blocks of the table are default values of graph inputs, which the runtime neither folds nor repacks.

Scoring has two passes. The first is coarse and in integers alone: the state in 7 unsigned bits (nothing overflows then
on processors without integer dot products) times the table in 8 signed bits with one scale. For every group of 64
neighbouring items only the best score is kept. The second pass scores the items of the best groups, with the state in
single precision; as many groups as could hold an answer, and :data:`SPARE` more for the rounding of the state.

An unsigned state is the state plus a constant c, which adds c times the sum of an item's codes to its score. So the
table is turned into the hyperplane of one more dimension whose coordinates sum to zero, which changes no product, and
the codes are rounded so that theirs do as well. The depth is filled up to a multiple of four by zeros.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from lightrec.errors import ModelError
from lightrec.export.quantize import TABLE

GROUP = 64
"""Items that the second pass takes or leaves together: one line of memory in each dimension."""
BLOCK = 2**15
"""Items that one node scores: their scores stay in the processor's cache until the best of each group is found."""
SPARE = 32
"""Groups taken to the second pass beyond those that could hold an answer if the first pass were exact."""
CENTRE = 64
"""The unsigned code of a state's zero; codes lie within 63 of it."""
TABLE_FILE = "items.bin"

Rows = Callable[[int, int], np.ndarray]
"""Item vectors float32 ``[stop - start, d]`` of the items from ``start`` to ``stop``."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the table lies in its file: blocks of items, in each the codes int8 ``[depth, items]``, one after another."""

    n_items: int
    """N; the last block is filled up to whole groups with zeros."""
    width: int
    """d."""
    scale: float = 1.0
    """A coordinate is its code times this."""
    block: int = BLOCK
    """Items of every block but the last."""

    @property
    def depth(self) -> int:
        """Codes of an item: d + 1, filled up to a multiple of four."""
        return -(-(self.width + 1) // 4) * 4

    @property
    def n_groups(self) -> int:
        """All groups, the last one filled up."""
        return -(-self.n_items // GROUP)

    @property
    def block_groups(self) -> list[int]:
        """The number of groups of each block."""
        whole = self.block // GROUP
        return [min(whole, self.n_groups - first) for first in range(0, self.n_groups, whole)]


def turn(width: int) -> np.ndarray:
    """float64 ``[d, d + 1]`` with orthonormal rows, each of which sums to zero; close to the identity.

    The first d rows of the reflection that takes the last axis to the direction of (1, ..., 1).
    """
    away = np.full(width + 1, -1 / np.sqrt(width + 1))
    away[-1] += 1
    return np.eye(width, width + 1) - 2 * np.outer(away[:-1], away) / (away @ away)


def write_table(file: Path, rows: Rows, n_items: int, width: int, block: int = BLOCK) -> Layout:
    """Quantize the item vectors block by block and write them; they are read twice, never all at once.

    Args:
        file: the file to write.
        rows: gives the vectors.
        n_items: N.
        width: d.
        block: items of a block, a multiple of 64.

    Raises:
        ModelError: if all vectors are zero or one is not finite.
    """
    rotation = turn(width).astype(np.float32)
    largest = max(float(np.abs(part @ rotation).max()) for part in _parts(rows, n_items, block))
    if not 0 < largest < np.inf:
        raise ModelError("The item vectors are all zero, or one holds NaN or infinity: train the student again.")
    layout = Layout(n_items, width, largest / 127, block)
    with file.open("wb") as out:
        for part in _parts(rows, n_items, block):
            codes = np.zeros((-(-len(part) // GROUP) * GROUP, layout.depth), dtype=np.int8)
            codes[: len(part), : width + 1] = balanced(part @ rotation / layout.scale)
            out.write(np.ascontiguousarray(codes.T).tobytes())
    return layout


def balanced(values: np.ndarray) -> np.ndarray:
    """``values [n, m]``, whose rows sum to zero, as int8 codes whose rows do: those nearest to the next code give way.

    >>> balanced(np.array([[0.6, 0.7, -1.3]], dtype=np.float32)).tolist()
    [[0, 1, -1]]
    """
    codes = np.clip(np.rint(values), -127, 127)
    for _ in range(values.shape[1]):
        excess = codes.sum(axis=1)
        wrong = np.flatnonzero(excess)
        if not len(wrong):
            break
        step = -np.sign(excess[wrong])[:, None]
        cost = np.abs(codes[wrong] + step - values[wrong])
        cost[np.abs(codes[wrong] + step) > 127] = np.inf
        place = cost.argmin(axis=1)
        codes[wrong, place] += step[:, 0]
    return codes.astype(np.int8)


def attach_table(encoder: onnx.ModelProto, layout: Layout, location: str = TABLE_FILE) -> onnx.ModelProto:
    """The graph of :func:`~lightrec.export.to_onnx.to_onnx` with the table in ``location`` instead of its own.

    Args:
        encoder: the graph of the same student with a small catalogue; what follows its state is replaced.
        layout: of the table.
        location: the table's file, beside that of the graph.
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
    model.graph.input.extend(tail.inputs)
    if not any(opset.domain == "" for opset in model.opset_import):
        raise ModelError("The encoder's graph names no opset: export it with lightrec's to_onnx.")
    return model


class _Tail:
    """Collects the nodes around the table. B users, T items of a history, G groups, C groups of the second pass."""

    def __init__(self, layout: Layout, location: str):
        self.layout = layout
        self.location = location
        self.nodes: list[NodeProto] = []
        self._count = 0
        self.initializers: list[TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        groups = sum(layout.block_groups)
        self.lines = self._file("table.lines", [groups * layout.depth, GROUP], 0)
        self.rotation = np.zeros((layout.width, layout.depth), dtype=np.float32)
        self.rotation[:, : layout.width + 1] = turn(layout.width)

    def read_rows(self, items: str, output: str) -> None:
        """The vectors ``[B, T, d]`` of ``items [B, T]``."""
        group = self._add("Div", items, self._const("table.group", GROUP))
        lane = self._add("Mod", items, self._const("table.group", GROUP))
        axis = self._const("table.last", [-1])
        number = self._line_numbers(group)  # [B, T, depth]
        shape = self._add("Shape", self._add("Unsqueeze", number, axis))
        lanes = self._add("Expand", self._add("Unsqueeze", lane, self._const("table.behind", [2, 3])), shape)
        lines = self._add("Gather", self.lines, number)  # [B, T, depth, 64]
        codes = self._add("Squeeze", self._add("GatherElements", lines, lanes, axis=3), axis)
        codes = self._add("Cast", codes, to=TensorProto.FLOAT)
        back = self._const("table.back", self.rotation.T * np.float32(self.layout.scale))
        self.nodes.append(make_node("MatMul", [codes, back], [output]))

    def score(self, state: str) -> None:
        """From the state ``[B, d]`` to ``items`` and ``scores``."""
        turned = self._add("MatMul", state, self._const("table.turn", self.rotation))
        groups = self._best_groups(self._rounded(turned))
        lines = self._add("Gather", self.lines, self._line_numbers(groups))  # [B, C, depth, 64]
        codes = self._add("Cast", lines, to=TensorProto.FLOAT)
        scaled = self._add("Mul", turned, self._const("table.scale", np.float32(self.layout.scale)))
        row = self._add("Unsqueeze", scaled, self._const("table.middle", [1, 2]))
        scores = self._flat(self._add("MatMul", row, codes))  # [B, C * 64]
        first = self._add("Mul", groups, self._const("table.group", GROUP))
        lanes = self._const("table.lanes", np.arange(GROUP))
        items = self._flat(self._add("Add", self._add("Unsqueeze", first, self._const("table.last", [-1])), lanes))
        self._answer(self._masked(scores, items), items)

    def _rounded(self, turned: str) -> str:
        """The state in 7 unsigned bits, ``[B, depth]``, by a scale of its own; positive factors change no order."""
        size = self._add("ReduceMax", self._add("Abs", turned), self._const("table.last", [-1]))
        step = self._add(
            "Div",
            self._add("Max", size, self._const("table.tiny", np.float32(1e-30))),
            self._const("table.steps", np.float32(CENTRE - 1)),
        )
        codes = self._add("Round", self._add("Div", turned, step))
        return self._add(
            "Cast", self._add("Add", codes, self._const("table.centre", np.float32(CENTRE))), to=TensorProto.UINT8
        )

    def _best_groups(self, rounded: str) -> str:
        """The first pass: the numbers of the C best groups, ascending, int64 ``[B, C]``."""
        best, first = [], 0
        for number, groups in enumerate(self.layout.block_groups):
            shape = [self.layout.depth, groups * GROUP]
            block = self._file(f"table.block.{number}", shape, first * self.layout.depth * GROUP)
            # A default value of an input is no constant to the runtime: it is used where it lies, in the mapped file.
            self.inputs.append(make_tensor_value_info(block, TensorProto.INT8, shape))
            products = self._add("MatMulInteger", rounded, block)
            by_group = self._add("Reshape", products, self._const(f"table.shape.{groups}", [0, groups, GROUP]))
            best.append(self._add("ReduceMax", by_group, self._const("table.last", [-1]), keepdims=0))
            first += groups
        found = self._add("Concat", *best, axis=1) if len(best) > 1 else best[0]
        count = self._add(
            "Min", self._add("Add", self._asked(), self._left_out()), self._const("table.groups", [first])
        )
        self.nodes.append(make_node("TopK", [found, count], ["table.best", "table.places"]))
        # Ascending, so that of equal scores the lower index comes first.
        self.nodes.append(make_node("TopK", ["table.places", count], ["table.chosen", "table.order"], largest=0))
        return "table.chosen"

    def _asked(self) -> str:
        one, most = self._const("table.one", 1), self._const("table.items", self.layout.n_items)
        self._asked_name = self._add("Clip", "k", one, most)
        return self._asked_name

    def _left_out(self) -> str:
        """How many groups seen and excluded items could spoil, with the spare ones: int64 ``[1]``."""
        self._hidden = self._add("Concat", "history", "exclude", axis=1)
        width = self._add("Shape", self._hidden, start=1, end=2)
        return self._add("Add", width, self._const("table.spare", [SPARE + 1]))

    def _masked(self, scores: str, items: str) -> str:
        """Minus infinity for what was seen or excluded, and for what fills the last group up."""
        padded = self.layout.n_groups * GROUP + 1
        # History behind its length and -1 go to the last place, which is no item.
        steps = self._add("Range", self._const("table.zero", 0), self._size("history", 1), self._const("table.one", 1))
        length = self._add("Unsqueeze", "length", self._const("table.last", [-1]))
        real = self._add("Less", steps, length)
        dummy = self._const("table.dummy", padded - 1)
        seen = self._add("Where", real, "history", dummy)
        excluded = self._add("Where", self._add("Less", "exclude", self._const("table.zero", 0)), dummy, "exclude")
        hidden = self._add("Concat", seen, excluded, axis=1)
        batch = self._add("Shape", hidden, start=0, end=1)
        shape = self._add("Concat", batch, self._const("table.padded", [padded]), axis=0)
        nothing = self._add("ConstantOfShape", shape, value=from_array(np.array([0], dtype=np.uint8)))
        ones = self._add("ConstantOfShape", self._add("Shape", hidden), value=from_array(np.array([1], dtype=np.uint8)))
        marks = self._add("ScatterElements", nothing, hidden, ones, axis=1)
        marked = self._add("Cast", self._add("GatherElements", marks, items, axis=1), to=TensorProto.BOOL)
        beyond = self._add("GreaterOrEqual", items, self._const("table.items", self.layout.n_items))
        return self._add(
            "Where", self._add("Or", marked, beyond), self._const("table.none", np.float32("-inf")), scores
        )

    def _answer(self, scores: str, items: str) -> None:
        there = self._add("Shape", items, start=1, end=2)
        asked = self._add("Min", self._asked_name, there)
        self.nodes.append(make_node("TopK", [scores, asked], ["table.top", "table.ranks"]))
        found = self._add("GatherElements", items, "table.ranks", axis=1)
        real = self._add("Greater", "table.top", self._const("table.none", np.float32("-inf")))
        counts = self._add(
            "ReduceSum", self._add("Cast", real, to=TensorProto.INT64), self._const("table.last", [-1]), keepdims=0
        )
        most = self._add("ReduceMax", counts, keepdims=1)
        zero, one = self._const("table.start", [0]), self._const("table.axis", [1])
        kept = self._add("Where", real, found, self._const("table.nobody", -1))
        self.nodes.append(make_node("Slice", [kept, zero, most, one], ["items"]))
        self.nodes.append(make_node("Slice", ["table.top", zero, most, one], ["scores"]))

    def _line_numbers(self, groups: str) -> str:
        """Where the codes of ``groups [B, n]`` lie, in lines of 64 bytes: int64 ``[B, n, depth]``."""
        layout, last = self.layout, len(self.layout.block_groups) - 1
        whole = self._const("table.whole", layout.block // GROUP)
        block = self._add("Div", groups, whole)
        column = self._add("Mod", groups, whole)
        start = self._add("Mul", block, self._const("table.stride", layout.block // GROUP * layout.depth))
        is_last = self._add("Equal", block, self._const("table.last_block", last))
        width = self._add("Where", is_last, self._const("table.rest", layout.block_groups[-1]), whole)
        axis = self._const("table.last", [-1])
        rows = self._add(
            "Mul", self._add("Unsqueeze", width, axis), self._const("table.depths", np.arange(layout.depth))
        )
        return self._add("Add", self._add("Unsqueeze", self._add("Add", start, column), axis), rows)

    def _size(self, name: str, axis: int) -> str:
        shape = self._add("Shape", name, start=axis, end=axis + 1)
        return self._add("Squeeze", shape)

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

    def _file(self, name: str, shape: list[int], offset: int) -> str:
        tensor = TensorProto(name=name, data_type=TensorProto.INT8, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self.location), ("offset", offset), ("length", int(np.prod(shape)))):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        return name


def _parts(rows: Rows, n_items: int, block: int) -> Iterator[np.ndarray]:
    for start in range(0, n_items, block):
        yield rows(start, min(start + block, n_items))


def _ancestors(nodes: Sequence[NodeProto], name: str) -> list[NodeProto]:
    """The nodes that ``name`` is computed by, in their order."""
    needed, kept = {name}, []
    for node in reversed(nodes):
        if any(output in needed for output in node.output):
            kept.append(node)
            needed |= set(node.input) - {""}  # an optional input left out
    return kept[::-1]
