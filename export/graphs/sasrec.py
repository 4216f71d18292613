"""The inference graph of a :class:`~lightrec.models.students.sasrec.Sasrec`, built node by node for ONNX Runtime.

At these sizes the overhead of a node is as large as its computation, so the graph has few and large nodes: ONNX
Runtime's own operators (domain ``com.microsoft``) where they combine several steps. It answers exactly as
``Student.forward``; a traced graph (:mod:`lightrec.export.writers.to_onnx`) has three times as many nodes.

Only one position of the last layer's output is used, so its keys and values are never computed. With one query x, the
attention logit of key y is (Wq x + bq)ᵀ(Wk y) = (Mx + c)ᵀy with M = Wkᵀ Wq for each head (the key's bias adds the same
to all logits and does not change the softmax), and Wo Wv is applied to the attended states as one matrix.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto
from onnx.helper import make_graph, make_tensor_value_info

from lightrec.export.graphs.builder import GraphBuilder
from lightrec.export.graphs.finish import MICROSOFT, finish_model
from lightrec.export.precision.quantize import TABLE
from lightrec.export.writers.exporter_config import exporter_config
from lightrec.export.writers.to_onnx import require_one_file
from lightrec.models.students.sasrec import Sasrec


def build_sasrec(model: Sasrec) -> onnx.ModelProto:
    """Return the graph in single precision, with inputs, outputs and axes named by the exporter configuration.

    The item table is the initializer ``item_embedding.weight`` ``[N, d]``. It has no padding row, because padding is
    replaced by the first item of the history: earlier positions do not depend on it, and seen items are never returned.

    Raises:
        ModelError: if the weights exceed what one ONNX file can hold.
    """
    require_one_file(model)
    builder = SasrecBuilder(model.fold().eval())
    config = exporter_config(model)
    graph = make_graph(
        builder.nodes(),
        "sasrec",
        [
            _value(name, TensorProto.INT64, axes, 1 if name in ("length", "k") else 2)
            for name, axes in config.inputs.items()
        ],
        [
            _value(name, TensorProto.INT64 if name == "items" else TensorProto.FLOAT, axes, 2)
            for name, axes in config.outputs.items()
        ],
        builder.initializers,
    )
    return finish_model(graph, model.config.model_type, MICROSOFT)


def _value(name: str, kind: int, axes: dict[int, str], rank: int) -> onnx.ValueInfoProto:
    return make_tensor_value_info(name, kind, [axes.get(axis, 1) for axis in range(rank)])


class SasrecBuilder(GraphBuilder):
    """Builder of the nodes of a Sasrec. In the comments: B users, T positions, d the width, H heads."""

    def __init__(self, model: Sasrec):
        super().__init__()
        self.model = model
        self.config = model.config
        self.weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
        self.factor = float(self.config.hidden_size**0.5)

    def nodes(self) -> list[NodeProto]:
        """Build the whole graph, from the inputs to the outputs, and return its nodes."""
        self.constant("minus_infinity", np.float32(-np.inf))
        self.read_history(self.config.max_length)
        states, normed = self._embedded("ids")
        last = len(self.model.layers) - 1
        for number in range(last):
            states, normed = self._layer(number, states, normed)
        own_states, own = (self.add("GatherND", [x, "last"], f"last.{x}", batch_dims=1) for x in (states, normed))
        scores = self._score(self._last_layer(last, own_states, own, normed))
        voters = self.model.neighbours
        self._recommend(scores if voters is None else self.add_votes(voters, scores))
        return self.built

    def _embedded(self, ids: str) -> tuple[str, str]:
        # The factor of Student.embed is omitted; everything that is added to the states is divided by it instead.
        table = self.constant(TABLE, self.weights[TABLE][: self.config.n_items])
        states = self.add("Gather", [table, ids], "states")
        gamma, beta = self._norm("layers.0.attention_norm")
        return states, self.add("LayerNormalization", [states, gamma, beta], "normed", epsilon=self._epsilon())

    def _layer(self, number: int, states: str, normed: str) -> tuple[str, str]:
        """Apply layer ``number`` to all positions; return the states and their norm by the next layer's norm."""
        name, w = f"l{number}", self._weights_of(number)
        qkv = np.concatenate([w["query.weight"], w["key_value.weight"]]).T
        bias = np.concatenate([w["query.bias"], w["key_value.bias"]])
        if "square" not in self._names:
            self._names.add("square")
            self.add("Concat", ["time", "time"], "square", axis=0)
        bounds = self._corner(), "square", self.constant("i23", np.array([2, 3]))
        table = self.add(
            "Unsqueeze", [self._distance_bias(number, (2, 0, 1)), self.constant("i0", np.array([0]))], f"{name}.all"
        )
        nearby = self.add("Slice", [table, *bounds], f"{name}.bias")
        weights = self.constant(f"{name}.qkv.weight", qkv), self.constant(f"{name}.qkv.bias", bias)
        out = self._attend(number, normed, *weights, nearby)
        out = self.add(
            "MatMul", [out, self.constant(f"{name}.output", w["output.weight"].T / self.factor)], f"{name}.o"
        )
        states, normed = self._skip_all(
            states, out, w["output.bias"], f"layers.{number}.feed_forward_norm", f"{name}.a"
        )
        out = self._feed_forward(number, normed)
        return self._skip_all(states, out, w["contract.bias"], f"layers.{number + 1}.attention_norm", f"{name}.f")

    def _corner(self) -> str:
        """Return the first row and column to read from a layer's table of biases."""
        return self.constant("i00", np.array([0, 0]))

    def _attend(self, number: int, normed: str, weight: str, bias: str, nearby: str) -> str:
        inputs = [normed, weight, bias, "", "", nearby]
        heads = self.config.num_heads
        return self.add("Attention", inputs, f"l{number}.attended", domain=MICROSOFT, num_heads=heads)

    def _last_layer(self, number: int, own_states: str, own: str, normed: str) -> str:
        """Apply the last layer and the final norm to the states ``own_states`` ``[B, d]`` of the last positions.

        ``own`` is their norm, and ``normed`` the norm of all positions.
        """
        name, w, heads, width = "last", self._weights_of(number), self.config.num_heads, self.config.hidden_size
        key, value = np.split(w["key_value.weight"].reshape(2 * heads, -1, width), 2)  # [H, d/H, d]
        query, bias = w["query.weight"].reshape(heads, -1, width), w["query.bias"].reshape(heads, -1)
        scale = (width // heads) ** -0.5
        look = np.einsum("hei,hej->ihj", query, key).reshape(width, -1) * scale
        look_bias = np.einsum("he,hej->hj", bias, key).reshape(-1) * scale
        output = w["output.weight"].reshape(width, heads, -1)
        give = np.einsum("hei,jhe->hij", value, output).reshape(-1, width) / self.factor
        give_bias = w["output.bias"] + w["output.weight"] @ w["key_value.bias"][width:]

        weights = [self.constant(f"{name}.look.weight", look), self.constant(f"{name}.look.bias", look_bias)]
        out = self.add("Gemm", [own, *weights], f"{name}.look")
        out = self.add("Reshape", [out, self.constant("by_head", np.array([-1, heads, width]))], f"{name}.heads")
        out = self.add("FusedMatMul", [out, normed], f"{name}.product", domain=MICROSOFT, transB=1)
        nearby = self.add("GatherND", [self._distance_bias(number, (0, 2, 1)), "last"], f"{name}.row")  # [B, H, L]
        bounds = self.constant("i0", np.array([0])), "time", self.constant("i2", np.array([2]))
        nearby = self.add("Slice", [nearby, *bounds], f"{name}.bias")
        out = self.add("Softmax", [self.add("Add", [out, nearby], f"{name}.logits")], f"{name}.weights")
        out = self.add("MatMul", [out, normed], f"{name}.mean")
        out = self.add("Reshape", [out, self.constant("flat", np.array([-1, heads * width]))], f"{name}.flat")
        out = self.add("MatMul", [out, self.constant(f"{name}.give.weight", give)], f"{name}.given")
        states, normed = self._skip(own_states, out, give_bias, f"layers.{number}.feed_forward_norm", f"{name}.a")
        out = self._feed_forward(number, normed)
        return self._skip(states, out, w["contract.bias"], "final_norm", f"{name}.f")[1]

    def _feed_forward(self, number: int, normed: str) -> str:
        """Apply the feed-forward block without its last bias, which the next node adds."""
        name, w = f"l{number}", self._weights_of(number)
        out = self.add("MatMul", [normed, self.constant(f"{name}.expand", w["expand.weight"].T)], f"{name}.wide")
        out = self.add(
            "BiasGelu", [out, self.constant(f"{name}.b1", w["expand.bias"])], f"{name}.gelu", domain=MICROSOFT
        )
        return self.add(
            "MatMul", [out, self.constant(f"{name}.contract", w["contract.weight"].T / self.factor)], f"{name}.narrow"
        )

    def _skip(self, states: str, change: str, bias: np.ndarray, norm: str, name: str) -> tuple[str, str]:
        """Return ``states + change + bias`` and its norm, for one position: there, a node costs more than its work."""
        inputs = [states, change, *self._norm(norm), self.constant(f"{name}.b", bias / self.factor)]
        outputs = ("", "", f"{name}.sum")
        self.add("SkipLayerNormalization", inputs, name, outputs, domain=MICROSOFT, epsilon=self._epsilon())
        return f"{name}.sum", name

    def _skip_all(self, states: str, change: str, bias: np.ndarray, norm: str, name: str) -> tuple[str, str]:
        """Return the same as :meth:`_skip`, for all positions, from two nodes.

        ONNX Runtime's fused node processes one number at a time and takes three to five times as long for all
        positions. The runtime would fuse ``Add`` and ``LayerNormalization`` into it, so ``Sum`` is used instead.
        """
        total = self.add("Sum", [states, change, self.constant(f"{name}.b", bias / self.factor)], f"{name}.sum")
        return total, self.add("LayerNormalization", [total, *self._norm(norm)], name, epsilon=self._epsilon())

    def _norm(self, name: str) -> tuple[str, str]:
        weight, bias = (self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return weight, bias

    def _distance_bias(self, number: int, order: tuple[int, ...]) -> str:
        """Return the bias of every query and key, its axes (query, key, head) in ``order``; folded when loaded."""
        if "distance" not in self._names:
            self._names.add("distance")
            column = self.add("Unsqueeze", ["steps", self.constant("i1", np.array([1]))], "steps.column")
            signed = self.add("Sub", [column, "steps"], "distance.signed")
            self.add("Clip", [signed, self.constant("zero", np.array(0))], "distance")
            ahead = self.add("Less", [column, "steps"], "ahead.flat")
            self.add("Unsqueeze", [ahead, self.constant("i2", np.array([2]))], "ahead")
        table = self.constant(f"l{number}.distance_bias", self.weights[f"layers.{number}.distance_bias.weight"])
        bias = self.add("Gather", [table, "distance"], f"l{number}.distances")
        bias = self.add("Where", ["ahead", "minus_infinity", bias], f"l{number}.behind")
        return self.add("Transpose", [bias], f"l{number}.distance", perm=order)

    def _finish(self, states: str) -> str:
        """See :meth:`Student.finish`."""
        if self.config.similarity == "dot":
            return states
        scale = self.constant("logit_scale", np.float32(self.config.logit_scale))
        return self.add("Mul", [self.add("LpNormalization", [states], "direction", axis=-1, p=2), scale], "finished")

    def _score(self, states: str) -> str:
        return self.add("Gemm", [self._finish(states), TABLE], "logits", transB=1)

    def _recommend(self, logits: str) -> None:
        """See :func:`lightrec.models.students.top_k.recommend_from_scores`."""
        zero = self.constant("zero", np.array(0))
        self.add("Less", ["exclude", zero], "nothing")
        self.add("Where", ["nothing", "first", "exclude"], "excluded")
        self.add("Concat", ["ids", "excluded"], "hidden", axis=1)
        self.add("Shape", ["hidden"], "hidden.shape")
        self.add("Expand", ["minus_infinity", "hidden.shape"], "hidden.scores")
        self.add("ScatterElements", [logits, "hidden", "hidden.scores"], "allowed", axis=1)
        least, most = self.constant("one", np.array(1)), self.constant("n_items", np.array(self.config.n_items))
        self.add("Clip", ["k", least, most], "asked")
        self.add("TopK", ["allowed", "asked"], "best", ["ranked"])
        # Cut the lists at the first rank where no user has an item.
        self.add("ReduceMax", ["best", self.constant("i0", np.array([0]))], "best.any", keepdims=0)
        self.add("Greater", ["best.any", "minus_infinity"], "remaining")
        self.add("Compress", ["best", "remaining"], "scores", axis=1)
        self.add("Compress", ["ranked", "remaining"], "some", axis=1)
        self.add("Greater", ["scores", "minus_infinity"], "is_item")
        self.add("Where", ["is_item", "some", self.constant("minus_one", np.array(-1))], "items")

    def _weights_of(self, number: int) -> dict[str, np.ndarray]:
        prefix = f"layers.{number}."
        return {name.removeprefix(prefix): value for name, value in self.weights.items() if name.startswith(prefix)}

    def _epsilon(self) -> float:
        return self.model.final_norm.eps / self.factor**2
