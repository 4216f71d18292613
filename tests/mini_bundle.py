"""Miniature bundles for tests, made with the onnx helpers alone, so that their answers can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lightrec.bundle import (
    ITEMS,
    TITLE_FILES,
    Catalogue,
    GoldenCase,
    Manifest,
    ModelRecord,
    read_catalogue,
    read_manifest,
    write_catalogue,
    write_golden,
    write_manifest,
)

NEXT_SCORES = np.array(
    [  # row: the last item of the history; column: the score of each item as the next one
        [0, 9, 8, 7, 6, 5],
        [1, 0, 5, 4, 3, 2],
        [3, 1, 0, 2, 5, 4],
        [5, 4, 3, 0, 2, 1],
        [2, 3, 4, 5, 0, 6],
        [6, 5, 4, 3, 2, 0],
    ],
    dtype=np.float32,
)
IDS = ["a", "b", "c", "d", "e,f", "7"]
TITLES = ["Alien", "Brazil", "Casablanca", None, "Emma, Frances", "Seven"]
POPULARITY = [3, 0, 5, 1, 2, 4]


def write_bundle(
    path: Path,
    scores: np.ndarray = NEXT_SCORES,
    ids: Sequence[str] = IDS,
    titles: Sequence[str | None] | None = TITLES,
    popularity: Sequence[int] = POPULARITY,
    max_length: int = 3,
    openvino: bool = False,
) -> Path:
    """A bundle whose student looks up the row of the last item in ``scores [N, N]``."""
    path.mkdir(parents=True)
    n_items = len(ids)
    onnx.save(last_item_graph(scores), path / "model.onnx")
    models = [ModelRecord("onnxruntime", "fp32", ("model.onnx",), opset=20)]
    if openvino:
        import openvino as ov

        ov.save_model(ov.convert_model(path / "model.onnx"), path / "model.xml", compress_to_fp16=False)
        models.append(ModelRecord("openvino", "fp32", ("model.xml", "model.bin")))
    write_catalogue(path, Catalogue(list(ids), np.array(popularity), None if titles is None else list(titles)))
    row = np.where(np.arange(n_items) == 0, -np.inf, scores[0])
    best = np.argsort(-row, kind="stable")[: min(3, n_items - 1)]
    write_golden(path, [GoldenCase([0], [], 3, best.tolist(), row[best].tolist())], tolerance=1e-4)
    manifest = Manifest(
        model_type="miniature",
        n_items=n_items,
        max_length=max_length,
        k_limit=n_items,
        hidden_size=1,
        models=tuple(models),
        lightrec_version="0",
        created="2026-01-01T00:00:00+00:00",
    )
    write_manifest(path, manifest)
    return path


def pack(bundle: Path) -> Path:
    """Give a bundle the catalogue in the form of large ones; returns it."""
    manifest = read_manifest(bundle)
    catalogue = read_catalogue(bundle, manifest)
    assert catalogue.titles is None or len(catalogue.titles)  # read before their file is deleted
    for name in (ITEMS, *TITLE_FILES):
        (bundle / name).unlink(missing_ok=True)
    write_catalogue(bundle, catalogue, packed=True)
    write_manifest(bundle, manifest)
    return bundle


def last_item_graph(scores: np.ndarray) -> onnx.ModelProto:
    """The inference graph of a student that knows only ``scores[last item]``, with the inputs and outputs of all."""
    n_items = len(scores)
    constants = {
        "table": scores.astype(np.float32),
        "padding_column": np.full((1, 1), -np.inf, dtype=np.float32),
        "n": np.array([n_items]),
        "one": np.array([1]),
        "zero": np.array([0]),
        "minus_one": np.array([-1]),
        "axis_0": np.array(0),
        "axis_1": np.array(1),
        "infinity": np.array([-np.inf], dtype=np.float32),
    }
    nodes = [
        # Padding of the history becomes item N, and the last real item picks the row of scores.
        ("Shape", ["history"], "history_shape", {}),
        ("Gather", ["history_shape", "axis_1"], "steps", {}),
        ("Range", ["axis_0", "steps", "axis_1"], "positions", {}),
        ("Unsqueeze", ["length", "one"], "lengths", {}),
        ("Less", ["positions", "lengths"], "is_real", {}),
        ("Where", ["is_real", "history", "n"], "seen", {}),
        ("Sub", ["lengths", "one"], "last_position", {}),
        ("GatherElements", ["history", "last_position"], "last_item", {"axis": 1}),
        ("Squeeze", ["last_item", "one"], "last", {}),
        ("Gather", ["table", "last"], "catalogue_scores", {}),
        # Column N takes what is padding; seen and excluded items become minus infinity.
        ("Mul", ["lengths", "zero"], "zeros", {}),
        ("Cast", ["zeros"], "float_zeros", {"to": TensorProto.FLOAT}),
        ("Add", ["float_zeros", "padding_column"], "padding_scores", {}),
        ("Concat", ["catalogue_scores", "padding_scores"], "all_scores", {"axis": 1}),
        ("Less", ["exclude", "zero"], "no_exclude", {}),
        ("Where", ["no_exclude", "n", "exclude"], "left_out", {}),
        ("Concat", ["seen", "left_out"], "hidden", {"axis": 1}),
        ("Shape", ["hidden"], "hidden_shape", {}),
        ("Expand", ["infinity", "hidden_shape"], "infinities", {}),
        ("ScatterElements", ["all_scores", "hidden", "infinities"], "masked", {"axis": 1}),
        # The best k, cut to what remains.
        ("Min", ["k", "n"], "asked", {}),
        ("TopK", ["masked", "asked"], ["best", "best_items"], {"axis": 1}),
        ("Greater", ["best", "infinity"], "is_item", {}),
        ("Cast", ["is_item"], "counted", {"to": TensorProto.INT64}),
        ("ReduceSum", ["counted", "one"], "counts", {"keepdims": 0}),
        ("ReduceMax", ["counts", "zero"], "remaining", {"keepdims": 1}),
        ("Slice", ["best", "zero", "remaining", "one"], "scores", {}),
        ("Where", ["is_item", "best_items", "minus_one"], "marked", {}),
        ("Slice", ["marked", "zero", "remaining", "one"], "items", {}),
    ]
    graph = helper.make_graph(
        [
            helper.make_node(kind, inputs, [out] if isinstance(out, str) else out, **attributes)
            for kind, inputs, out, attributes in nodes
        ],
        "last_item",
        [
            helper.make_tensor_value_info("history", TensorProto.INT64, ["B", "T"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["B"]),
            helper.make_tensor_value_info("exclude", TensorProto.INT64, ["B", "E"]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("items", TensorProto.INT64, ["B", "K"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "K"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
