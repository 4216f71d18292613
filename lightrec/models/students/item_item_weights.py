"""Item-item weights: a sparse matrix that adds to the scores what products of item vectors cannot express."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 255
"""The largest code of an item-item weight; codes are whole numbers from 0 to this, in one byte."""


class Neighbours(nn.Module):
    """A sparse matrix of item-item weights: each item of a history raises the scores of M items.

    The weights are scaled by the recency weight of the history item and added to the student's scores. They express
    which few items go with which, which a product of two d-dimensional vectors cannot. An entry takes three bytes: two
    for an item index (four from 65,536 items on) and one for the weight. Nothing here is trained by gradient descent:
    see :mod:`lightrec.training.items.item_item_weights`.

    Args:
        n_items: number of items in the catalogue, N; index N is padding.
        width: weights of each item, M.
        max_length: largest number of items in a history, L.
    """

    items: Tensor
    """int32 ``[N + 1, M]``: indices of the items that each row has weights for. A row with fewer than M is filled with
    index 0 and weight 0. Row N is padding."""
    votes: Tensor
    """uint8 ``[N + 1, M]``: the item-item weights, as codes from 0 to :data:`STEPS`."""
    by_age: Tensor
    """float ``[L]``: recency weights (the last item's first), times the value of one code step."""

    def __init__(self, n_items: int, width: int, max_length: int):
        super().__init__()
        self.register_buffer("items", torch.zeros(n_items + 1, width, dtype=torch.int32))
        self.register_buffer("votes", torch.zeros(n_items + 1, width, dtype=torch.uint8))
        self.register_buffer("by_age", torch.zeros(max_length))

    @classmethod
    def of(cls, items: np.ndarray, votes: np.ndarray, by_age: np.ndarray) -> Neighbours:
        """Build the matrix from real weights, rounding each to one of :data:`STEPS` equal steps up to the largest.

        Args:
            items: int ``[N, M]``, item indices.
            votes: float ``[N, M]``, their weights; those not above 0 are dropped.
            by_age: float ``[L]``, recency weights.
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
        """Return ``scores [B, N or N + 1]`` plus the item-item weights of ``history`` int64 ``[B, T]``.

        ``history`` is right-padded with N; ``length`` int64 ``[B]`` is its number of real items.
        """
        age = length[:, None] - 1 - torch.arange(history.shape[1], device=history.device)
        weight = self.by_age[age.clamp(min=0)][:, :, None]  # the weights of the padding row are all 0
        votes = F.embedding(history, self.votes).to(scores.dtype) * weight
        return scores.scatter_add(1, F.embedding(history, self.items).long().flatten(1), votes.flatten(1))
