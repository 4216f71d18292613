"""Which items vote for which, and how much that counts: fitted to a trained student, chosen on validation cases."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lightrec import metrics
from lightrec.data.splits import Cases, Split
from lightrec.evaluation.baselines import ItemKnn
from lightrec.evaluation.ease import MOST_ITEMS, Ease
from lightrec.evaluation.ranking import hide, target_ranks
from lightrec.models.neighbours import Neighbours
from lightrec.models.scoring import ModelScorer, pad_histories
from lightrec.models.student import Student
from lightrec.training.progress import Reporter

PENALTIES = (30.0, 300.0)
"""Ridge penalties of EASE that are tried: sparse data want the lower one."""
DECAYS = (0.5, 0.7, 0.8, 0.9, 0.97)
"""Weights of an event relative to the next that are tried."""
WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Factors on the votes, in logits, that are tried."""
MOST_SCORES = 4_000_000
"""Scores held at once."""
LARGEST = 400_000
"""Catalogues with more items have no neighbours: their table is read in integers, piece by piece."""


@dataclasses.dataclass(frozen=True)
class Source:
    """An item-item matrix, cut to the largest entries of each row."""

    name: str
    """The baseline that it comes from."""
    penalty: float | None
    """EASE's ridge penalty."""
    items: np.ndarray
    """int ``[N, M]``, the neighbours of each item."""
    votes: np.ndarray
    """float32 ``[N, M]``."""


@dataclasses.dataclass(frozen=True)
class _Choice:
    source: Source
    decay: float
    weight: float
    ndcg: float
    hit_rate: float


def fit_neighbours(
    student: Student, width: int, split: Split, cases: Cases, reporter: Reporter
) -> dict[str, float | str | None]:
    """Give a trained ``student`` neighbours, if they rank the validation targets better than it does alone.

    They come from EASE (Steck, arXiv 1905.03375), or from item-kNN where the catalogue is too large to invert a
    matrix; the ``width`` largest entries of each row are kept. The student's own weights do not change.

    Args:
        student: without neighbours so far.
        width: neighbours of each item, M.
        split: its training events are counted.
        cases: validation cases to choose the penalty, the decay and the weight on.
        reporter: is told how far the work is.

    Returns:
        what was chosen, and the student's ``ndcg@10`` and ``hr@10`` on the cases with it (empty if nothing helps or
        the catalogue exceeds :data:`LARGEST`).
    """
    if not width or split.n_items > LARGEST:
        return {}
    before = _Asked(student, cases)
    choices: list[_Choice] = []
    sources = 1 if split.n_items > MOST_ITEMS else len(PENALTIES)
    reporter.start("Neighbours", sources * len(cases))
    for number, source in enumerate(_sources(split, width)):
        choices += before.try_out(source, lambda done, start=number * len(cases): reporter.advance(start + done))
    reporter.stop()
    best = max(choices, key=lambda choice: choice.ndcg)
    if best.ndcg <= before.ndcg:
        reporter.note(f"neighbours do not help: validation ndcg@10 {best.ndcg:.4f} with, {before.ndcg:.4f} without")
        return {}
    by_age = best.weight * best.decay ** np.arange(student.config.max_length)
    student.set_neighbours(Neighbours.of(best.source.items, best.source.votes, by_age))
    reporter.note(f"neighbours by {best.source.name}: validation ndcg@10 {best.ndcg:.4f}, {before.ndcg:.4f} without")
    return {
        "of": best.source.name,
        "penalty": best.source.penalty,
        "decay": best.decay,
        "weight": best.weight,
        "ndcg@10 without": before.ndcg,
        "ndcg@10": best.ndcg,
        "hr@10": best.hit_rate,
    }


def _sources(split: Split, width: int) -> Iterator[Source]:
    width = min(width, split.n_items)
    if split.n_items > MOST_ITEMS:
        knn = ItemKnn(split, neighbours=width)
        yield Source("item-knn", None, knn.neighbours, knn.similarities)
        return
    for penalty in PENALTIES:
        weights = Ease(split, regularization=penalty).weights
        items = np.argpartition(-weights, width - 1, axis=1)[:, :width]
        yield Source("ease", penalty, items, np.take_along_axis(weights, items, axis=1))


class _Asked:
    """A student's answers to the cases, alone and with neighbours beside it."""

    def __init__(self, student: Student, cases: Cases):
        self.scorer = ModelScorer(student, student.device)
        self.cases = cases
        self.length, self.n_items = student.config.max_length, student.config.n_items
        self.ndcg = float(np.mean(np.concatenate([self._gains(base, rows)[0] for rows, base in self._batches()])))

    def try_out(self, source: Source, progress: Any) -> list[_Choice]:
        """Every decay and weight."""
        settings = list(itertools.product(DECAYS, WEIGHTS))
        sums = np.zeros((len(settings), 2))
        for rows, base in self._batches():
            votes = {decay: self._votes(source, decay, rows) for decay in DECAYS}
            for place, (decay, weight) in enumerate(settings):
                sums[place] += [part.sum() for part in self._gains(base + np.float32(weight) * votes[decay], rows)]
            progress(int(rows[-1]) + 1)
        means = sums / len(self.cases)
        return [
            _Choice(source, decay, weight, *mean)
            for (decay, weight), mean in zip(settings, means.tolist(), strict=True)
        ]

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some cases at a time, and the student's scores float32 ``[B, N]`` without the items of the histories."""
        size = max(1, MOST_SCORES // self.n_items)
        for start in range(0, len(self.cases), size):
            rows = np.arange(start, min(start + size, len(self.cases)))
            histories = self._histories(rows)
            scores = np.array(self.scorer.score(histories))
            hide(scores, histories)
            yield rows, scores

    def _votes(self, source: Source, decay: float, rows: np.ndarray) -> np.ndarray:
        """The votes float32 ``[B, N]`` of the cases' histories."""
        voters = Neighbours.of(source.items, source.votes, decay ** np.arange(self.length))
        history, length = pad_histories(self._histories(rows), self.length, self.n_items)
        return voters(torch.zeros(len(rows), self.n_items), history, length).numpy()

    def _gains(self, scores: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranks = target_ranks(scores, self.cases.targets[rows])
        return metrics.ndcg(ranks, 10), metrics.hit_rate(ranks, 10)

    def _histories(self, rows: np.ndarray) -> list[np.ndarray]:
        return [self.cases.history(int(row)) for row in rows]
