"""Score whole histories with a torch model, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightrec.models.students.student import Student
from lightrec.models.teachers.teacher import Teacher


def pad_histories(histories: Sequence[np.ndarray], max_length: int, padding: int) -> tuple[Tensor, Tensor]:
    """Return the last ``max_length`` items of each history, right-padded, as ``history [B, T]``, and ``length [B]``.

    T is the largest length, at least 1; an empty history becomes a row of padding with length 0.
    """
    lengths = np.array([min(len(history), max_length) for history in histories], dtype=np.int64)
    padded = np.full((len(histories), max(1, lengths.max(initial=1))), padding, dtype=np.int64)
    for row, (history, length) in enumerate(zip(histories, lengths, strict=True)):
        padded[row, :length] = history[len(history) - length :]
    return torch.from_numpy(padded), torch.from_numpy(lengths)


class ModelScorer:
    """A scorer (see :mod:`lightrec.evaluation.protocol`) over a teacher or student.

    Args:
        model: the model; it is in evaluation mode while it scores.
        device: the device to compute on.
    """

    def __init__(self, model: Student | Teacher, device: str | torch.device = "cpu"):
        self.model = model.to(device)
        self.device = device
        self.n_items = int(model.config.n_items)

    @torch.inference_mode()
    def score(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Return the score of every item as the next item, float32 ``[B, N]``; seen items are not masked."""
        was_training = self.model.training
        self.model.eval()
        history, length = pad_histories(histories, self.model.config.max_length, self.n_items)
        scores = self.model.score(history.to(self.device), length.to(self.device)).float().cpu().numpy()
        self.model.train(was_training)
        return scores
