"""A teacher in a file: scores at training positions from a production model, a language model or any other system.

A list of scores is turned into a distribution over the whole catalogue. The listed items divide their part by the
softmax of their scores; all other items share the rest equally. The size of the rest is measured as the share of
positions whose true item is not in the list. The scale of the scores is fitted so that the true items become most
likely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightrec.data.dataset import Dataset
from lightrec.data.scores import read_scores
from lightrec.data.splits import Split
from lightrec.errors import DataError
from lightrec.files.atomic import sha256_file
from lightrec.training.teachers.output_cache import OutputsPlan, Voice

MOST_FITTED = 5_000_000
"""Most scores that the scale is fitted to; in longer files it uses evenly spaced positions."""


@dataclasses.dataclass(frozen=True)
class TeacherScores:
    """Lists of items at training events, each item with its share of the probability."""

    facts: dict[str, Any]
    """Facts for the run's record: path, SHA-256, positions with a list, rows ignored, scale and rest."""
    starts: np.ndarray
    """int64 ``[M + 1]``: the list of training event e is ``items[starts[e]:starts[e + 1]]``, which may be empty."""
    items: np.ndarray
    """int64 ``[S]``: the listed items."""
    logs: np.ndarray
    """float32 ``[S]``: the logarithm of each listed item's share of its list."""
    rest: float
    """The share of all items outside a list, together."""
    n_items: int
    """Size of the catalogue, N."""

    @classmethod
    def read(cls, path: str | Path, dataset: Dataset, split: Split, *, scale: float | None = None) -> TeacherScores:
        """Read a file; ignore and count positions that are not trained on (held out, or a user's first).

        Args:
            path: see :mod:`lightrec.data.scores`.
            split: its training events must be the beginnings of the users' sequences.
            scale: factor on the scores; fitted if None.

        Raises:
            DataError: if the file is invalid, or contains no training position.
        """
        scores = read_scores(path, dataset)
        trained = (scores.positions >= 1) & (scores.positions < np.diff(split.train_offsets)[scores.users])
        if not trained.any():
            raise DataError(
                f"{path} has no score at a position that the {split.name} split trains on: give the positions of the "
                "earlier events of each user, from 1."
            )
        events = split.train_offsets[scores.users[trained]] + scores.positions[trained]
        starts = np.searchsorted(events, np.arange(len(split.train_items) + 1))
        lists = _Lists(starts, events, scores.items[trained], scores.scores[trained].astype(np.float64))
        asked = len(lists.first)
        found = lists.items == split.train_items[events]
        scale = lists.fit_scale(found) if scale is None else scale
        rest = (asked - int(found.sum()) + 1) / (asked + 2)
        facts = {
            "path": str(path),
            "sha256": sha256_file(Path(path)),
            "positions": asked,
            "ignored_rows": int((~trained).sum()),
            "scale": scale,
            "rest": round(rest, 6),
        }
        return cls(facts, starts, lists.items, lists.log_shares(scale).astype(np.float32), rest, dataset.n_items)

    def log_probabilities(self, events: np.ndarray) -> Tensor:
        """Return log-probabilities ``[E, N]`` at each training event; all minus infinity if the event has no list."""
        sizes = self.starts[events + 1] - self.starts[events]
        others = self.n_items - sizes
        share = np.where(others > 0, self.rest, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(sizes > 0, np.log(share) - np.log(others), -np.inf).astype(np.float32)
            listed = np.log1p(-share).astype(np.float32)
        result = torch.from_numpy(floor)[:, None].repeat(1, self.n_items)
        rows = np.repeat(np.arange(len(events)), sizes)
        places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + self.starts[events][rows]
        result[torch.from_numpy(rows), torch.from_numpy(self.items[places])] = torch.from_numpy(
            self.logs[places] + listed[rows]
        )
        return result


class ScoresVoice:
    """The :class:`~lightrec.training.teachers.output_cache.Voice` of a score file, alone or with other teachers.

    At positions without a list, the other teachers are used alone; without others, all logits are minus infinity.

    Args:
        scores: the file.
        weight: factor on the file's log-probabilities.
        others: the voice of the other teachers, or None.
        others_weight: factor on its logits at positions where the file has a list.
    """

    def __init__(self, scores: TeacherScores, weight: float, others: Voice | None = None, others_weight: float = 1.0):
        self.scores = scores
        self.weight = weight
        self.others = others
        self.others_weight = others_weight

    def answer(self, plan: OutputsPlan, chosen: np.ndarray, pattern: np.ndarray | None) -> Callable[[slice], Tensor]:
        """See :class:`~lightrec.training.teachers.output_cache.Voice`."""
        events = plan.events(chosen, pattern)
        others = None if self.others is None else self.others.answer(plan, chosen, pattern)

        def both(part: slice) -> Tensor:
            own = self.scores.log_probabilities(events[part])
            if others is None:
                return own * self.weight
            theirs = others(part).float().cpu()
            listed = torch.isfinite(own).any(dim=1, keepdim=True)
            return torch.where(listed, own * self.weight + theirs * self.others_weight, theirs)

        return both


class _Lists:
    """Lists of scores, one after the other; ``first`` has the index where each non-empty list begins."""

    def __init__(self, starts: np.ndarray, events: np.ndarray, items: np.ndarray, scores: np.ndarray):
        self.first = np.unique(starts[:-1][np.diff(starts) > 0])
        self.number = np.cumsum(np.isin(np.arange(len(events)), self.first)) - 1
        self.items = items
        self.scores = scores - np.maximum.reduceat(scores, self.first)[self.number]

    def log_shares(self, scale: float) -> np.ndarray:
        """Return the logarithm of each item's share of its list, the softmax of scale x score."""
        scaled = scale * self.scores
        return scaled - np.log(np.add.reduceat(np.exp(scaled), self.first))[self.number]

    def fit_scale(self, found: np.ndarray) -> float:
        """Return the scale that makes the true items (``found``) most likely in their lists; 1 if none is listed."""
        if not found.any():
            return 1.0
        drawn = np.unique(self.number[found])
        drawn = drawn[:: max(1, int(np.ceil(len(self.scores) / MOST_FITTED)))]
        inside = np.isin(self.number, drawn)
        _, list_of = np.unique(self.number[inside], return_inverse=True)
        scores = torch.from_numpy(self.scores[inside])
        unit = float(scores.std(correction=0)) or 1.0
        logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logarithm], max_iter=50, line_search_fn="strong_wolfe")
        segments, true = torch.from_numpy(list_of), torch.from_numpy(found[inside])

        def loss() -> Tensor:
            optimizer.zero_grad()
            # Beyond these bounds a softmax is uniform or one-hot to the last digit.
            scaled = scores / unit * logarithm.clamp(-7, 7).exp()
            sums = torch.zeros(len(drawn), dtype=torch.float64).index_add(0, segments, scaled.exp())
            value = (sums.log().sum() - scaled[true].sum()) / len(drawn)
            value.backward()
            return value

        optimizer.step(loss)
        return round(float(logarithm.detach().clamp(-7, 7).exp()) / unit, 6)
