"""Write files for phones without ONNX Runtime: LiteRT (.tflite) and ExecuTorch (.pte), in single precision.

Both formats require fixed shapes, but the number of seen items varies. So the graph returns the scores of the whole
catalogue, and the app masks seen items and selects the top k.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightrec.extras import require_extra
from lightrec.models.students.item_item_weights import Neighbours
from lightrec.models.students.student import Student

LITERT_FILE = "model.tflite"
EXECUTORCH_FILE = "model.pte"


class FixedScores(nn.Module):
    """Graph from ``history`` int32 ``[1, L]``, right-padded with any item, and ``length`` int32 ``[1]`` to scores
    ``[1, N]``."""

    steps: Tensor

    def __init__(self, model: Student):
        super().__init__()
        self.model = model.fold().eval()
        # A tensor computed from shapes would be treated as a weight by the converters: a buffer is one.
        self.register_buffer("steps", torch.arange(model.config.max_length), persistent=False)

    def forward(self, history: Tensor, length: Tensor) -> Tensor:
        """Return the score of every item as the next item; seen items are not masked."""
        history, length = history.long(), length.long()
        history = torch.where(self.steps[None] >= length[:, None], self.model.config.n_items, history)
        return self.model.score(history, length)


def to_litert(model: Student, folder: Path) -> str:
    """Write ``model`` into ``folder`` as a .tflite file; return its name."""
    require_extra("litert", "Writing a .tflite file")
    import litert_torch

    with _quiet(), _counted_votes(model):
        converted = litert_torch.convert(FixedScores(model).eval(), _example(model))
        converted.export(str(folder / LITERT_FILE))
    return LITERT_FILE


def to_executorch(model: Student, folder: Path) -> str:
    """Write ``model`` into ``folder`` as a .pte file for XNNPACK, a library of CPU kernels; return its name."""
    require_extra("executorch", "Writing a .pte file")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with _quiet():
        program = torch.export.export(FixedScores(model).eval(), _example(model))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / EXECUTORCH_FILE).write_bytes(lowered.buffer)
    return EXECUTORCH_FILE


def _example(model: Student) -> tuple[Tensor, Tensor]:
    return torch.zeros(1, model.config.max_length, dtype=torch.int32), torch.ones(1, dtype=torch.int32)


class _CountedVotes(nn.Module):
    """:class:`Neighbours` for LiteRT, which can only look up rows of floats and has no scatter-add: the index of every
    item-item weight is compared with every item, T * M * N comparisons."""

    items: Tensor
    votes: Tensor
    by_age: Tensor
    catalogue: Tensor

    def __init__(self, neighbours: Neighbours):
        super().__init__()
        self.register_buffer("items", neighbours.items.float())  # exact up to 16 million
        self.register_buffer("votes", neighbours.votes.float())
        self.register_buffer("by_age", neighbours.by_age)
        self.register_buffer("catalogue", torch.arange(len(neighbours.items) - 1).float())

    def forward(self, scores: Tensor, history: Tensor, length: Tensor) -> Tensor:
        """See :meth:`Neighbours.forward`; for one history."""
        age = (length[:, None] - 1 - torch.arange(history.shape[1])).clamp(min=0)
        votes = (F.embedding(history, self.votes) * self.by_age[age][:, :, None]).flatten(1)
        receivers = F.embedding(history, self.items).flatten()
        return scores + votes @ (receivers[:, None] == self.catalogue).float()


@contextlib.contextmanager
def _counted_votes(model: Student) -> Iterator[None]:
    neighbours = model.neighbours
    if neighbours is not None:
        model.neighbours = _CountedVotes(neighbours)  # type: ignore[assignment]
    try:
        yield
    finally:
        model.neighbours = neighbours


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the converters' progress messages and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
