"""Miniature students, each traced once for all tests of the room: tracing takes seconds."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from lightrec.data.dataset import Dataset
from lightrec.export.pipeline import export_bundle
from lightrec.export.writers.to_onnx import to_onnx
from lightrec.export.writers.to_onnxruntime import to_onnxruntime
from lightrec.files.atomic import write_json
from lightrec.models.students.gru4rec import Gru4Rec, Gru4RecConfig
from lightrec.models.students.item_item_weights import Neighbours
from lightrec.models.students.mini_bert import MiniBert, MiniBertConfig
from lightrec.models.students.sasrec import Sasrec, SasrecConfig
from lightrec.models.students.student import Student

MAX_LENGTH = 8


def spread_student(kind: type[Student], config: type, num_heads: int = 2, **sizes: Any) -> Student:
    """A student with random weights, large enough that its scores differ well."""
    torch.manual_seed(5)
    model = kind(config(max_length=MAX_LENGTH, num_heads=num_heads, dropout=0.0, **sizes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=1.0 if name == "item_embedding.weight" else 0.2)
    return model


@pytest.fixture(scope="session", autouse=True)
def traced_once() -> Iterator[Callable[[Student], onnx.ModelProto]]:
    """:func:`to_onnx`, which exports use, too, but the graph of equal weights is kept: the tests export a few students.

    The graphs of :func:`trace` for sessions are not kept.
    """
    kept: dict[str, onnx.ModelProto] = {}

    def traced(model: Student) -> onnx.ModelProto:
        shape = {name: model.config.to_dict()[name] for name in sorted(model.config.to_dict()) if name not in NOTES}
        digest = hashlib.sha256(json.dumps([type(model).__name__, shape], default=str).encode())
        for name, weight in model.state_dict().items():
            digest.update(name.encode() + weight.numpy().tobytes())
        if digest.hexdigest() not in kept:
            kept[digest.hexdigest()] = to_onnx(model)
        copy = onnx.ModelProto()
        copy.CopyFrom(kept[digest.hexdigest()])
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightrec.export.writers.write_models.to_onnx", traced)
        patch.setattr("lightrec.export.writers.to_onnxruntime.to_onnx", traced)
        yield traced


NOTES = ("architectures", "dtype", "transformers_version", "_name_or_path")
"""What saving and loading write into a configuration."""


@pytest.fixture(scope="session")
def make_student() -> Callable[..., Student]:
    """:func:`spread_student`, for tests that need one of another shape."""
    return spread_student


def write_run(path: Path, model: Student, dataset: Dataset) -> Path:
    """A finished run folder, as ``lightrec train`` leaves it."""
    model.save_pretrained(path)
    write_json(
        path / "run.json",
        {
            "format_version": 1,
            "kind": "student",
            "model_type": model.config.model_type,
            "command": f"lightrec train {dataset.path}",
            "config": {"data": str(dataset.path), "seed": 0, "init": "runs/teacher"},
            "dataset": {
                "name": dataset.name,
                "path": str(dataset.path),
                "checksum": dataset.checksum,
                "users": dataset.n_users,
                "items": dataset.n_items,
            },
            "split": {"name": "leave-one-out", "quantile": 0.9},
            "seed": 0,
        },
    )
    return path


@pytest.fixture(scope="session")
def sasrec(tiny_dataset: Dataset) -> Student:
    sizes = {"n_items": tiny_dataset.n_items, "hidden_size": 32, "num_layers": 2}
    return spread_student(Sasrec, SasrecConfig, **sizes, similarity="cosine")


@pytest.fixture(scope="session")
def mini_bert(tiny_dataset: Dataset) -> Student:
    """Its width, 20, is no multiple of 16: the quantized blocks are filled up."""
    return spread_student(MiniBert, MiniBertConfig, n_items=tiny_dataset.n_items, hidden_size=20, num_layers=1)


@pytest.fixture(scope="session")
def gru4rec(tiny_dataset: Dataset) -> Student:
    return spread_student(Gru4Rec, Gru4RecConfig, n_items=tiny_dataset.n_items, hidden_size=24, num_layers=2)


@pytest.fixture(scope="session")
def voting_sasrec(tiny_dataset: Dataset) -> Student:
    """Each item votes for three others, some of them several times, and some votes are none."""
    sizes = {"n_items": tiny_dataset.n_items, "hidden_size": 16, "num_layers": 2}
    model, drawn = spread_student(Sasrec, SasrecConfig, **sizes), np.random.default_rng(3)
    items = drawn.integers(0, tiny_dataset.n_items, (tiny_dataset.n_items, 3))
    votes = drawn.normal(loc=0.5, size=items.shape)
    model.set_neighbours(Neighbours.of(items, votes, 5 * 0.8 ** np.arange(MAX_LENGTH)))
    return model


@pytest.fixture(scope="session")
def voting_run(voting_sasrec: Student, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "voting", voting_sasrec, tiny_dataset)


@pytest.fixture(scope="session")
def sasrec_run(sasrec: Student, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "sasrec", sasrec, tiny_dataset)


@pytest.fixture(scope="session")
def gru4rec_run(gru4rec: Student, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "gru4rec", gru4rec, tiny_dataset)


@pytest.fixture(scope="session")
def sasrec_bundle(sasrec_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student exported in single precision for both runtimes."""
    out = tmp_path_factory.mktemp("bundles") / "sasrec"
    export_bundle(sasrec_run, out, formats=("onnx", "openvino"), precision="fp32")
    return out


@pytest.fixture(scope="session")
def sasrec_graph(sasrec: Student) -> onnx.ModelProto:
    """For ONNX Runtime."""
    return to_onnxruntime(sasrec)


@pytest.fixture(scope="session")
def sasrec_traced(sasrec: Student, traced_once: Callable[[Student], onnx.ModelProto]) -> onnx.ModelProto:
    """For OpenVINO."""
    return traced_once(sasrec)


@pytest.fixture(scope="session")
def mini_bert_graph(mini_bert: Student, traced_once: Callable[[Student], onnx.ModelProto]) -> onnx.ModelProto:
    return traced_once(mini_bert)


@pytest.fixture(scope="session")
def gru4rec_graph(gru4rec: Student, traced_once: Callable[[Student], onnx.ModelProto]) -> onnx.ModelProto:
    return traced_once(gru4rec)
