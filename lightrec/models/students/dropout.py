"""Dropout whose masks cost a CPU little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 256
"""A byte decides for each number: the share that is dropped is a multiple of 1/256."""


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout`, faster on a CPU.

    torch draws a CPU's masks one number after the other, which was a quarter of a training step here. One draw of 64
    bits decides for eight numbers instead; the probability is rounded to a multiple of 1/256, and what is kept is
    scaled by exactly that, so that the mean stays. Other devices do as torch does.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x`` of any shape, with a share of its numbers set to zero in training."""
        dropped = round(self.p * STEPS)
        if not self.training or x.device.type != "cpu" or self.inplace or dropped >= STEPS:
            return super().forward(x)
        if dropped == 0:
            return x
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * (kept.to(x.dtype) * (STEPS / (STEPS - dropped)))
