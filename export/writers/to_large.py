"""Write a student with a large catalogue for ONNX Runtime; see :mod:`lightrec.export.graphs.large_catalogue`."""

from __future__ import annotations

from pathlib import Path

import torch

from lightrec.errors import ModelError
from lightrec.export.graphs.large_catalogue import TABLE_FILE, attach_table
from lightrec.export.writers.large_table import Rows, write_table
from lightrec.export.writers.to_onnxruntime import to_onnxruntime
from lightrec.models.students.student import Student

LARGE = 500_000
"""Catalogues with at least this many items are exported this way in int8: reading the table dominates a query."""

FEW = 64
"""Number of items in the copy that is traced; its table is discarded."""


def to_large(model: Student, folder: Path, name: str = "model.onnx", rows: Rows | None = None) -> tuple[str, ...]:
    """Write ``model`` in 8 bits as a graph and a table; return the names of the files, the graph's first.

    Args:
        model: the student.
        folder: an existing folder.
        name: name of the graph's file.
        rows: function that returns item vectors, used instead of the model's own table, so that the table need not be
            in memory. The number of items is ``n_items`` of the model's configuration.
    """
    encoder = to_onnxruntime(with_few_items(model))
    layout = write_table(folder / TABLE_FILE, rows or _rows(model), model.config.n_items, model.config.hidden_size)
    (folder / name).write_bytes(attach_table(encoder, layout).SerializeToString())
    return name, TABLE_FILE


def with_few_items(model: Student) -> Student:
    """Return a copy of ``model`` with a small item table of meaningless values."""
    config = type(model.config)(**{**model.config.to_dict(), "n_items": FEW})
    few = type(model)(config).eval()
    weights = {key: value for key, value in model.state_dict().items() if key != "item_embedding.weight"}
    missing, unexpected = few.load_state_dict(weights, strict=False)
    if missing != ["item_embedding.weight"] or unexpected:
        raise ModelError(
            f"A {model.config.model_type} cannot be exported with a large catalogue: use --precision fp32."
        )
    return few


def _rows(model: Student) -> Rows:
    def rows(start: int, stop: int) -> object:
        with torch.no_grad():
            return model._directions(model.item_embedding.weight[start:stop]).numpy()

    return rows  # type: ignore[return-value]
