"""Last part of the inference graph: select the top k items from the scores."""

from __future__ import annotations

import torch
from torch import Tensor


def recommend_from_scores(scores: Tensor, seen: Tensor, exclude: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Mask padding, seen and excluded items, and return the best ``k``.

    Args:
        scores: ``[B, N + 1]``; column N is padding and is never returned.
        seen: int64 ``[B, T]``, item indices; padding is N.
        exclude: int64 ``[B, E]``, item indices; padding is -1.
        k: int64 ``[1]``, number of items requested.

    Returns:
        ``items`` int64 ``[B, K]`` and ``scores [B, K]``, best first, ties by lowest index. K is the smaller of
        ``k`` and the largest number of items that remain for a row; a row with fewer items ends in item -1 with
        score minus infinity.
    """
    padding = scores.shape[1] - 1
    exclude = torch.where(exclude < 0, padding, exclude)
    always = torch.full_like(seen[:, :1], padding)
    scores = scores.scatter(1, torch.cat([seen, exclude, always], dim=1), float("-inf"))

    asked = torch.clamp(k, min=1, max=padding)[0].item()
    torch._check(asked >= 1)
    torch._check(asked <= padding)
    best, items = torch.topk(scores, asked, dim=1)  # type: ignore[arg-type]

    remaining = (best > float("-inf")).sum(dim=1).max().item()
    torch._check(remaining >= 0)
    torch._check(remaining <= asked)
    best, items = best[:, :remaining], items[:, :remaining]
    return torch.where(best > float("-inf"), items, -1), best
