"""Nodes and constants of a graph that is written by hand, and what all such graphs read from a history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from lightrec.models.students.item_item_weights import Neighbours

NEIGHBOURS = "neighbours.items"
"""The initializer that holds every item's neighbours, under its name in the student's state."""

VOTES = "neighbours.votes"
"""The initializer that holds their votes."""


class GraphBuilder:
    """Collects nodes and constants; every method adds nodes and returns the name of what they compute.

    In the comments: B users, T positions, N items, M neighbours of each.
    """

    def __init__(self) -> None:
        self.initializers: list[TensorProto] = []
        self.built: list[NodeProto] = []
        """The nodes so far."""
        self._names: set[str] = set()

    def constant(self, name: str, value: Any) -> str:
        """Store ``value`` under ``name``, in single precision where it is of floats."""
        array = np.asarray(value)
        if name not in self._names:
            self.initializers.append(from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name))
            self._names.add(name)
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node; the first output is ``output``."""
        self.built.append(make_node(op, list(inputs), [output, *outputs], **attributes))
        return output

    def read_history(self, max_length: int) -> None:
        """``ids [B, T]`` without padding, ``real [B, T]`` where none was, ``last [B, 1]`` the place of each last item,
        ``time [1]`` = T, ``step [T]`` from 0 on."""
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
        """``scores [B, N]`` with the votes of the history that was read; see :meth:`Neighbours.forward`."""
        items, votes = (table[:-1].numpy() for table in (neighbours.items, neighbours.votes))
        # Padding is of negative age, which reads the table from its end: there are no votes.
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
    """Item indices in two bytes each where that is enough for all, in four otherwise."""
    return items.astype(np.uint16 if items.max(initial=0) < 2**16 else np.int32)
