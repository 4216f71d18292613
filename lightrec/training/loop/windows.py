"""Training windows: users' sequences cut into pieces and padded into batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from lightrec.data.splits import Split


@dataclasses.dataclass(frozen=True)
class Windows(TorchDataset):
    """W pieces of at most L + 1 items; window w is ``items[starts[w]:ends[w]]``.

    Every event of a user but the first is a target, an item with at least one item before it, in exactly one window.
    Windows of a user overlap by one item, and the last one ends at the end of the user's sequence.
    """

    items: np.ndarray
    """int32 ``[M]``: the training events."""
    starts: np.ndarray
    """int64 ``[W]``: first item of each window, as an index into ``items``."""
    ends: np.ndarray
    """int64 ``[W]``: the index after the last item of each window."""

    @classmethod
    def from_split(cls, split: Split, max_length: int) -> Windows:
        """Cut the training sequences into windows of at most ``max_length`` + 1 items, from the end."""
        starts, ends = [], []
        for first, end in zip(split.train_offsets[:-1], split.train_offsets[1:], strict=True):
            while end - first >= 2:
                start = max(first, end - max_length - 1)
                starts.append(start)
                ends.append(end)
                end = start + 1
        return cls(split.train_items, np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))

    @property
    def lengths(self) -> np.ndarray:
        """int64 ``[W]``: number of items in each window, at least 2."""
        return self.ends - self.starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, window: int) -> int:
        # The collator reads whole batches at once; a sample is its window's number.
        return window

    def batch(self, chosen: Sequence[int] | np.ndarray, padding: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows ``chosen`` as ``items [B, T]``, right-padded with ``padding``, and ``length [B]``."""
        chosen = np.asarray(chosen)
        lengths = self.lengths[chosen]
        steps = np.arange(lengths.max())
        places = np.minimum(self.starts[chosen][:, None] + steps, len(self.items) - 1)
        items = np.where(steps < lengths[:, None], self.items[places], padding).astype(np.int64)
        return torch.from_numpy(items), torch.from_numpy(lengths)


class Collator:
    """Builder of batches for a task from window numbers.

    Args:
        windows: the windows that the numbers refer to.
        padding: the item index of padding, N.
        teacher: a source of targets, or None (see :mod:`lightrec.training.teachers.output_cache`).
        patterns: fixed masks to draw from, bool ``[W, P, L + 1]``, or None to leave masking to the task.
    """

    def __init__(self, windows: Windows, padding: int, teacher: Any = None, patterns: np.ndarray | None = None):
        self.windows = windows
        self.padding = padding
        self.teacher = teacher
        self.patterns = patterns

    def __call__(self, chosen: list[int]) -> dict[str, Any]:
        """Return ``items [B, T]`` and ``length [B]``, with patterns ``masked [B, T]``, with a teacher its targets."""
        items, length = self.windows.batch(chosen, self.padding)
        batch: dict[str, Any] = {"items": items, "length": length}
        pattern = None
        if self.patterns is not None:
            # Drawn by torch, because the trainer saves and restores the state of torch's generator.
            pattern = torch.randint(self.patterns.shape[1], (len(chosen),)).numpy()
            batch["masked"] = torch.from_numpy(self.patterns[chosen, pattern][:, : items.shape[1]])
        if self.teacher is not None:
            answer = self.teacher.targets(np.asarray(chosen), pattern)
            # The trainer moves dictionaries to its device, but not named tuples.
            batch["teacher"] = {key: value for key, value in answer._asdict().items() if value is not None}
        return batch


def mask_patterns(windows: Windows, count: int, probability: float, seed: int) -> np.ndarray:
    """Draw ``count`` fixed masks for each window: bool ``[W, count, longest window]``.

    The first mask hides only the last item, as when a prefix is scored. In the others each item but the first is
    hidden with ``probability``, and at least one item is hidden.
    """
    random = np.random.default_rng(seed)
    lengths = windows.lengths
    steps = np.arange(lengths.max())
    last = steps == lengths[:, None] - 1
    masks = np.repeat(last[:, None, :], count, axis=1)
    inside = (steps > 0) & (steps < lengths[:, None])
    for pattern in range(1, count):
        drawn = (random.random(inside.shape) < probability) & inside
        nothing = ~drawn.any(axis=1)
        drawn[nothing] = last[nothing]
        masks[:, pattern] = drawn
    return masks
