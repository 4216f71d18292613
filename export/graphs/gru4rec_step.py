"""Step graph of a :class:`~lightrec.models.students.gru4rec.Gru4Rec` for ONNX Runtime: it reads new items and continues
from the cached recurrent state."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_graph, make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from lightrec.export.graphs.finish import finish_model
from lightrec.export.precision.quantize import TABLE
from lightrec.models.students.gru4rec import Gru4Rec


def build_gru4rec_step(model: Gru4Rec) -> onnx.ModelProto:
    """Return the step graph in single precision; its weights have the names and layout of the traced graph.

    Inputs are ``items`` int64 ``[1, T]`` and ``past`` float32 ``[1, P, layers * d]``, the states of all layers, of
    which only the last row is used. Outputs are ``state`` float32 ``[1, d]`` and ``present``, one row like those of
    ``past``.
    """
    config, builder = model.config, _Builder(model.fold().eval())
    width = config.num_layers * config.hidden_size
    nodes = builder.nodes()
    graph = make_graph(
        nodes,
        "gru4rec_step",
        [
            make_tensor_value_info("items", TensorProto.INT64, [1, "new"]),
            make_tensor_value_info("past", TensorProto.FLOAT, [1, "known", width]),
        ],
        [
            make_tensor_value_info("state", TensorProto.FLOAT, [1, config.hidden_size]),
            make_tensor_value_info("present", TensorProto.FLOAT, [1, 1, width]),
        ],
        [from_array(value, name) for name, value in builder.constants.items()],
    )
    return finish_model(graph, config.model_type)


class _Builder:
    """A collection of nodes and constants; a method adds nodes and returns the name of their result."""

    def __init__(self, model: Gru4Rec):
        self.config = model.config
        self.weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
        self.constants: dict[str, np.ndarray] = {}
        self._nodes: list[NodeProto] = []

    def nodes(self) -> list[NodeProto]:
        """Build the whole graph and return its nodes."""
        layers, width = self.config.num_layers, self.config.hidden_size
        vectors = self.add("Gather", [self.weight(TABLE), "items"], "vectors")
        states = self.add("Mul", [vectors, self.constant("factor", np.float32(width**0.5))], "embedded")
        states = self.add("Transpose", [states], "by_time", perm=[1, 0, 2])
        starts = self._starts(layers, width)
        ends = []
        for layer in range(layers):
            states, end = self._layer(layer, states, starts[layer])
            ends.append(end)
        present = self.add("Concat", ends, "ends", axis=2) if layers > 1 else ends[0]
        self.add("Identity", [present], "present")
        last = self.add("Squeeze", [ends[-1], self.constant("axis_0", np.array([0]))], "last")
        matrix, bias = self.constant("output", self.weights["output.weight"].T.copy()), self.weight("output.bias")
        last = self.add("Gemm", [last, matrix, bias], "finished")
        if self.config.similarity == "cosine":
            direction = self.add("LpNormalization", [last], "direction", axis=-1, p=2)
            last = self.add("Mul", [direction, self.constant("scale", np.float32(self.config.logit_scale))], "scaled")
        self.add("Identity", [last], "state")
        return self._nodes

    def constant(self, name: str, value: Any) -> str:
        """Store ``value`` under ``name``; return the name."""
        self.constants[name] = np.asarray(value)
        return name

    def weight(self, name: str) -> str:
        """Store the student's weight ``name``; return the name."""
        return self.constant(name, self.weights[name])

    def add(self, op: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its first output."""
        self._nodes.append(make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def _starts(self, layers: int, width: int) -> list[str]:
        """Return the initial state ``[1, 1, d]`` of each layer: zeros if there is no past."""
        zeros = self.constant("zeros", np.zeros((1, 1, layers * width), dtype=np.float32))
        rows = self.add("Concat", [zeros, "past"], "rows", axis=1)
        row = self.add("Gather", [rows, self.constant("last_row", np.array([-1]))], "row", axis=1)
        starts = [f"start.{layer}" for layer in range(layers)]
        self.add("Split", [row], *starts, axis=2, num_outputs=layers)
        return starts

    def _layer(self, layer: int, states: str, start: str) -> tuple[str, str]:
        """Apply one layer to states ``[T, 1, d]``; return its states and its last state ``[1, 1, d]``."""
        name, axis = f"layer.{layer}", self.constant("axis_1", np.array([1]))
        weights = [self._gates(f"recurrent.{kind}_l{layer}") for kind in ("weight_ih", "weight_hh")]
        biases = [self._gates(f"recurrent.{kind}_l{layer}") for kind in ("bias_ih", "bias_hh")]
        bias = self.add("Concat", biases, f"{name}.bias", axis=1)
        self.add(
            "GRU",
            [states, *weights, bias, "", start],
            f"{name}.all",
            f"{name}.end",
            hidden_size=self.config.hidden_size,
            linear_before_reset=1,
        )
        return self.add("Squeeze", [f"{name}.all", axis], f"{name}.states"), f"{name}.end"

    def _gates(self, name: str) -> str:
        """Return a weight in ONNX's gate order (update, reset, new; torch has reset first), with a direction axis."""
        self.add("Split", [self.weight(name)], f"{name}.r", f"{name}.z", f"{name}.n", axis=0, num_outputs=3)
        gates = self.add("Concat", [f"{name}.z", f"{name}.r", f"{name}.n"], f"{name}.gates", axis=0)
        return self.add("Unsqueeze", [gates, self.constant("axis_0", np.array([0]))], f"{name}.onnx")
