"""Files for phones without ONNX Runtime: LiteRT (.tflite) and ExecuTorch (.pte), in single precision.

Both want fixed shapes, and lists of seen items of any length are none: the graph ends with the scores of the whole
catalogue, and the app hides what was seen and takes the best.
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
    """``history`` int32 ``[1, L]``, right-padded with any item, and ``length`` int32 ``[1]`` to scores ``[1, N]``."""

    steps: Tensor

    def __init__(self, model: Student):
        super().__init__()
        self.model = model.fold().eval()
        # Converters take what is computed from shapes for weights: as a buffer it is one.
        self.register_buffer("steps", torch.arange(model.config.max_length), persistent=False)

    def forward(self, history: Tensor, length: Tensor) -> Tensor:
        """The scores of every item as the next one; nothing is masked."""
        history, length = history.long(), length.long()
        history = torch.where(self.steps[None] >= length[:, None], self.model.config.n_items, history)
        return self.model.score(history, length)


def to_litert(model: Student, folder: Path) -> str:
    """Write ``model`` into ``folder`` as a .tflite file; returns its name."""
    require_extra("litert", "Writing a .tflite file")
    import litert_torch

    with _quiet(), _counted_votes(model):
        converted = litert_torch.convert(FixedScores(model).eval(), _example(model))
        converted.export(str(folder / LITERT_FILE))
    return LITERT_FILE


def to_executorch(model: Student, folder: Path) -> str:
    """Write ``model`` into ``folder`` as a .pte file for XNNPACK, kernels for processors; returns its name."""
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
    """:class:`Neighbours` for LiteRT, which looks up rows of floats alone and cannot add at scattered places: every
    vote is compared with every item, T * M * N comparisons."""

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
    """Silence the converters' remarks on what they do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
