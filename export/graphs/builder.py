"""Collect the nodes and constants of a hand-built graph, and build the parts that all such graphs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from lightrec.models.students.item_item_weights import Neighbours

NEIGHBOURS = "neighbours.items"
"""Name, as in the student's state, of the initializer with the item indices of the item-item weights."""

VOTES = "neighbours.votes"
"""Name of the initializer with the codes of the item-item weights."""


class GraphBuilder:
    """A collection of nodes and constants; a method adds nodes and returns the name of their result.

    In the comments: B users, T positions, N items, M item-item weights of each item.
    """

    def __init__(self) -> None:
        self.initializers: list[TensorProto] = []
        self.built: list[NodeProto] = []
        """The nodes so far."""
        self._names: set[str] = set()

    def constant(self, name: str, value: Any) -> str:
        """Store ``value`` under ``name``, floats in single precision; return the name."""
        array = np.asarray(value)
        if name not in self._names:
            self.initializers.append(from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name))
            self._names.add(name)
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node whose first output is ``output``, and return that name."""
        self.built.append(make_node(op, list(inputs), [output, *outputs], **attributes))
        return output

    def read_history(self, max_length: int) -> None:
        """Add the inputs derived from a history.

        These are ``ids [B, T]``, with padding replaced by the first item; ``real [B, T]``, true except at padding;
        ``last [B, 1]``, the position of the last item; ``time [1]``, which is T; and ``step [T]``, counting from 0.
        """
        steps = self.constant("steps", np.arange(max_length))
        first, one = self.constant("i0", np.array([0])), self.constant("i1", np.array([1]))
        self.add("Shape", ["history"], "time", start=1, end=2)
        self.add("Slice", [steps, first, "time"], "step")
        self.add("Unsqueeze", ["length", one], "count")
        self.add("Less", ["step", "count"], "real")
        self.add("Slice", ["history", first, one, one], "first")
        self.add("Where", ["real", "history", "first"], "ids")
        self.add("Sub", ["count", one], "last")

    def add_votes(self, neighbours: Neighbours, scores: str) -> str:
        """Add the item-item weights of the history to ``scores [B, N]``, after :meth:`read_history`; see
        :meth:`Neighbours.forward`."""
        items, votes = (table[:-1].numpy() for table in (neighbours.items, neighbours.votes))
        # The age of padding is negative, which indexes by_age from its end: those entries are zero.
        by_age = np.concatenate([neighbours.by_age.numpy(), np.zeros(len(neighbours.by_age))])[:, None]
        age = self.add("Sub", ["last", "step"], "age")
        weight = self.add("Gather", [self.constant("neighbours.by_age", by_age), age], "voter")  # [B, T, 1]
        amount = self.add("Gather", [self.constant(VOTES, votes), "ids"], "vote.codes")
        amount = self.add("Cast", [amount], "vote.steps", to=TensorProto.FLOAT)
        amount = self.add("Flatten", [self.add("Mul", [amount, weight], "vote.amounts")], "vote.amount", axis=1)
        receiver = self.add("Gather", [self.constant(NEIGHBOURS, smallest(items)), "ids"], "vote.items")
        receiver = self.add("Cast", [receiver], "vote.receivers", to=TensorProto.INT64)
        receiver = self.add("Flatten", [receiver], "vote.receiver", axis=1)
        return self.add("ScatterElements", [scores, receiver, amount], "voted", axis=1, reduction="add")


def smallest(items: np.ndarray) -> np.ndarray:
    """Return item indices in two bytes each if all of them fit, in four otherwise."""
    return items.astype(np.uint16 if items.max(initial=0) < 2**16 else np.int32)
