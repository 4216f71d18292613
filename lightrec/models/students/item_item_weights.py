"""Votes from item to item: what a table of vectors cannot hold, a few entries of a large matrix can."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 255
"""Votes are whole numbers from 0 to this, in one byte."""


class Neighbours(nn.Module):
    """A sparse item-item matrix: each item of a history votes for its M neighbours, recent ones with more weight.

    Added to the scores of a student, it says what no product of d numbers can: which few items go with which. An
    entry takes three bytes, two of an item's index (four from 65,536 items on) and one of its vote. Nothing here is
    trained by gradient descent: see :mod:`lightrec.training.items.item_item_weights`.

    Args:
        n_items: number of items in the catalogue, N; index N is padding.
        width: neighbours of each item, M.
        max_length: most items of a history, L.
    """

    items: Tensor
    """int32 ``[N + 1, M]``: the neighbours; 0, with a vote of 0, where there are fewer. Row N is padding."""
    votes: Tensor
    """uint8 ``[N + 1, M]``."""
    by_age: Tensor
    """float ``[L]``: what a vote counts that comes from the last item, the one before it, and so on."""

    def __init__(self, n_items: int, width: int, max_length: int):
        super().__init__()
        self.register_buffer("items", torch.zeros(n_items + 1, width, dtype=torch.int32))
        self.register_buffer("votes", torch.zeros(n_items + 1, width, dtype=torch.uint8))
        self.register_buffer("by_age", torch.zeros(max_length))

    @classmethod
    def of(cls, items: np.ndarray, votes: np.ndarray, by_age: np.ndarray) -> Neighbours:
        """Neighbours that vote by real numbers, rounded to :data:`STEPS` steps up to the largest.

        Args:
            items: int ``[N, M]``.
            votes: float ``[N, M]``; what is not above 0 does not vote.
            by_age: float ``[L]``.
        """
        made = cls(len(items), items.shape[1], len(by_age))
        votes = np.maximum(votes, 0)
        step = max(float(votes.max(initial=0)), 1e-9) / STEPS
        rounded = np.rint(votes / step)
        made.votes[:-1] = torch.from_numpy(rounded.astype(np.uint8))
        made.items[:-1] = torch.from_numpy(np.where(rounded > 0, items, 0).astype(np.int32))
        made.by_age.copy_(torch.from_numpy(by_age * step))
        return made

    def forward(self, scores: Tensor, history: Tensor, length: Tensor) -> Tensor:
        """``scores [B, N or N + 1]`` with the votes of ``history`` int64 ``[B, T]`` added to them.

        ``history`` is right-padded with N; ``length`` int64 ``[B]`` says how many of its items are real.
        """
        age = length[:, None] - 1 - torch.arange(history.shape[1], device=history.device)
        weight = self.by_age[age.clamp(min=0)][:, :, None]  # the padding votes for nothing
        votes = F.embedding(history, self.votes).to(scores.dtype) * weight
        return scores.scatter_add(1, F.embedding(history, self.items).long().flatten(1), votes.flatten(1))
