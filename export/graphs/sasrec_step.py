"""Step graph of a :class:`~lightrec.models.students.sasrec.Sasrec` for ONNX Runtime: it reads new items and uses cached
results of earlier ones.

Positions enter as a bias by distance, so the keys and values of an item never change when others follow it and can be
cached. The last layer is computed only at the last position, from its input states
(see :mod:`lightrec.export.graphs.sasrec`): only these are cached for it, d numbers per item instead of 2 d.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_graph, make_node, make_tensor_value_info

from lightrec.export.graphs.finish import MICROSOFT, finish_model
from lightrec.export.graphs.sasrec import SasrecBuilder
from lightrec.models.students.sasrec import Sasrec


def build_sasrec_step(model: Sasrec) -> onnx.ModelProto:
    """Return the step graph in single precision.

    Inputs are ``items`` int64 ``[1, T]``, ``past.i.key`` and ``past.i.value`` float32 ``[1, heads, P, d / heads]`` of
    every layer i but the last, and ``past.last`` float32 ``[1, P, d]``. Outputs are ``state`` float32 ``[1, d]`` and a
    ``present`` for each past, with P + T positions, at most ``max_length``.
    """
    config, builder = model.config, _StepBuilder(model.fold().eval())
    heads, width = config.num_heads, config.hidden_size
    shapes = {
        f"{i}.{part}": [1, heads, "known", width // heads]
        for i in range(config.num_layers - 1)
        for part in ("key", "value")
    }
    shapes["last"] = [1, "known", width]
    nodes = builder.nodes()

    def values(kind: str, positions: str) -> list[onnx.ValueInfoProto]:
        return [
            make_tensor_value_info(
                f"{kind}.{name}", TensorProto.FLOAT, [positions if size == "known" else size for size in shape]
            )
            for name, shape in shapes.items()
        ]

    graph = make_graph(
        nodes,
        "sasrec_step",
        [make_tensor_value_info("items", TensorProto.INT64, [1, "new"]), *values("past", "known")],
        [make_tensor_value_info("state", TensorProto.FLOAT, [1, width]), *values("present", "all")],
        builder.initializers,
    )
    return finish_model(graph, config.model_type, MICROSOFT)


class _StepBuilder(SasrecBuilder):
    """Builder of the encoder over T new positions after P cached ones; weights are as in the whole graph."""

    def nodes(self) -> list[NodeProto]:
        """Build the whole graph and return its nodes."""
        self.constant("steps", np.arange(self.config.max_length))
        self.constant("minus_infinity", np.float32(-np.inf))
        first, one = self.constant("i0", np.array([0])), self.constant("i1", np.array([1]))
        self.add("Shape", ["past.last"], "known", start=1, end=2)
        self.add("Shape", ["items"], "new", start=1, end=2)
        self.add("Add", ["known", "new"], "time")
        self.add("Sub", ["time", one], "last.place")
        self.add("Unsqueeze", ["last.place", one], "last")
        # A layer's bias is sliced from the row of the first new position and from the first key.
        self.add("Concat", ["known", first], "corner", axis=0)
        states, normed = self._embedded("items")
        last = len(self.model.layers) - 1
        for number in range(last):
            states, normed = self._layer(number, states, normed)
        self.add("Concat", ["past.last", normed], "present.last", axis=1)
        newest = self.constant("newest", np.array(-1))
        own_states, own = (self.add("Gather", [x, newest], f"last.{x}", axis=1) for x in (states, normed))
        state = self._finish(self._last_layer(last, own_states, own, "present.last"))
        self.built.append(make_node("Identity", [state], ["state"]))
        return self.built

    def _corner(self) -> str:
        return "corner"

    def _attend(self, number: int, normed: str, weight: str, bias: str, nearby: str) -> str:
        # Attention, which computes keys and values itself, accepts either a past or a bias, not both.
        name, parts = f"l{number}", ("key", "value")
        qkv = self.add("MatMul", [normed, weight], f"{name}.qkv")
        query, key, value = f"{name}.query", *(f"{name}.{part}" for part in parts)
        self.add("Split", [qkv], query, [key, value], axis=-1, num_outputs=3)
        past = [f"past.{number}.{part}" for part in parts]
        present = [f"present.{number}.{part}" for part in parts]
        inputs = [query, key, value, bias, "", nearby, *past]
        heads = self.config.num_heads
        return self.add("MultiHeadAttention", inputs, f"{name}.attended", present, domain=MICROSOFT, num_heads=heads)
