"""Item-item weights for a trained student: fitted to the training events, chosen on validation cases."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from lightrec import metrics
from lightrec.baselines.baselines import ItemKnn
from lightrec.baselines.ease import MOST_ITEMS, Ease
from lightrec.baselines.slit import MOST_ITEMS as MOST_ITEMS_OF_SLIT
from lightrec.baselines.slit import Slit
from lightrec.data.splits import Cases, Split
from lightrec.evaluation.ranking import hide, target_ranks
from lightrec.models.scoring import ModelScorer, pad_histories
from lightrec.models.students.item_item_weights import Neighbours
from lightrec.models.students.student import Student
from lightrec.training.progress import Reporter

PENALTIES = (30.0, 300.0)
"""Ridge penalties of EASE to try; the lower one suits sparse data."""
MANY_ITEMS = 10_000
"""Above this number of items only the lower penalty is tried: such data are sparse, and an inversion takes minutes."""
DECAYS = (0.5, 0.7, 0.8, 0.9, 0.97)
"""Weights of an event relative to the next to try."""
WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Factors on the item-item weights to try, in logits."""
MOST_SCORES = 4_000_000
"""Most scores in memory at once."""
LARGEST = 400_000
"""Largest catalogue with item-item weights; the tables of larger ones are read in integers, piece by piece."""
SHORTLIST = 8
"""Each matrix retains this many times the entries per row that are finally stored, so that matrices can be added."""


@dataclasses.dataclass(frozen=True)
class Source:
    """An item-item matrix, reduced to some of the largest entries of each row."""

    name: str
    """The name of the baseline that it comes from."""
    penalty: float | None
    """The ridge penalty of EASE or SLIT; None for item-kNN."""
    items: np.ndarray
    """int ``[N, M]``: the column of each entry, an item index."""
    votes: np.ndarray
    """float32 ``[N, M]``: the value of each entry, an item-item weight."""

    @classmethod
    def of(cls, name: str, penalty: float | None, matrix: np.ndarray, width: int) -> Source:
        """Return a source with the ``width`` largest entries of each row of ``matrix [N, N]``."""
        # In parts, since all indices together take twice the matrix's memory; copied, since a view would retain them.
        parts = np.array_split(matrix, -(-matrix.size // MOST_SCORES))
        items = np.concatenate([np.argpartition(-rows, width - 1, axis=1)[:, :width].copy() for rows in parts])
        return cls(name, penalty, items, np.take_along_axis(matrix, items, axis=1))

    def cut(self, width: int) -> Source:
        """Return the ``width`` largest entries of each row, or all if there are fewer."""
        if width >= self.items.shape[1]:
            return self
        best = np.argpartition(-self.votes, width - 1, axis=1)[:, :width]
        parts = (np.take_along_axis(part, best, axis=1) for part in (self.items, self.votes))
        return Source(self.name, self.penalty, *parts)

    def __add__(self, other: Source) -> Source:
        """Return the sum of both matrices; entries for the same item are added."""
        items = np.concatenate([self.items, other.items], axis=1)
        votes = np.concatenate([self.votes, other.votes], axis=1)
        order = np.argsort(items, axis=1, kind="stable")
        items, votes = np.take_along_axis(items, order, axis=1), np.take_along_axis(votes, order, axis=1)
        again = items[:, 1:] == items[:, :-1]
        votes[:, :-1] += np.where(again, votes[:, 1:], 0)
        votes[:, 1:][again] = 0
        return Source(f"{self.name}+{other.name}", self.penalty, items, votes)

    def times(self, factor: float) -> Source:
        """Return the same matrix with its entries multiplied by ``factor``."""
        return dataclasses.replace(self, votes=self.votes * np.float32(factor))


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
    """Add item-item weights to a trained ``student``, if they rank the validation targets better than it does alone.

    They come from EASE (Steck, arXiv 1905.03375), which models items that go together; from SLIT (Choi et al., arXiv
    2103.16104), which models items that follow others; or from the sum of both matrices, each times its best
    factor. If the catalogue is too large for these, item-kNN is used instead. The ``width`` largest entries of each
    row are stored. The student's other weights do not change.

    Args:
        student: a student without item-item weights.
        width: number of weights per item, M.
        split: its training events are counted.
        cases: validation cases on which the matrix, the decay and the weight are chosen.
        reporter: receives the progress.

    Returns:
        The choice, and the student's ``ndcg@10`` and ``hr@10`` on the cases with it; empty if no choice helps, if
        ``width`` is 0, or if the catalogue exceeds :data:`LARGEST`.
    """
    if not width or split.n_items > LARGEST:
        return {}
    before = _Asked(student, cases)
    choices: dict[str, _Choice] = {}
    makers = _sources(split, min(SHORTLIST * width, split.n_items))
    reporter.start("Neighbours", len(makers) + (len(makers) > 1))

    def try_out(source: Source) -> None:
        found = max(before.try_out(source.cut(width)), key=lambda choice: choice.ndcg)
        found = dataclasses.replace(found, source=source)
        choices[source.name] = max((found, choices.get(source.name, found)), key=lambda choice: choice.ndcg)

    for number, make in enumerate(makers):
        try_out(make())
        reporter.advance(number + 1)
    if len(choices) > 1:
        first, *others = choices.values()
        mixed = first.source.times(first.weight)
        for choice in others:
            mixed = mixed + choice.source.times(choice.weight)
        # In the units of the first matrix, so that the same factors suit the sum.
        try_out(mixed.times(1 / first.weight))
    reporter.stop()
    best = max(choices.values(), key=lambda choice: choice.ndcg)
    if best.ndcg <= before.ndcg:
        reporter.note(f"neighbours do not help: validation ndcg@10 {best.ndcg:.4f} with, {before.ndcg:.4f} without")
        return {}
    by_age = best.weight * best.decay ** np.arange(student.config.max_length)
    voters = best.source.cut(width)
    student.set_neighbours(Neighbours.of(voters.items, voters.votes, by_age))
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


def _sources(split: Split, width: int) -> list[Callable[[], Source]]:
    """Return functions that make the matrices to try; of several with one name the best is used."""

    def knn() -> Source:
        found = ItemKnn(split, neighbours=width)
        return Source("item-knn", None, found.neighbours, found.similarities)

    def ease(penalty: float) -> Source:
        return Source.of("ease", penalty, Ease(split, regularization=penalty).weights, width)

    def slit() -> Source:
        found = Slit(split)
        return Source.of("slit", found.parameters["regularization"], found.weights, width)

    if split.n_items > MOST_ITEMS:
        return [knn]
    penalties = PENALTIES[:1] if split.n_items > MANY_ITEMS else PENALTIES
    made: list[Callable[[], Source]] = [functools.partial(ease, penalty) for penalty in penalties]
    return [*made, slit] if split.n_items <= MOST_ITEMS_OF_SLIT else made


class _Asked:
    """Results of a student on the cases, alone and with item-item weights."""

    def __init__(self, student: Student, cases: Cases):
        self.scorer = ModelScorer(student, student.device)
        self.cases = cases
        self.length, self.n_items = student.config.max_length, student.config.n_items
        self.ndcg = float(np.mean(np.concatenate([self._gains(base, rows)[0] for rows, base in self._batches()])))

    def try_out(self, source: Source) -> list[_Choice]:
        """Return the results of every decay and weight with ``source``."""
        settings = list(itertools.product(DECAYS, WEIGHTS))
        sums = np.zeros((len(settings), 2))
        for rows, base in self._batches():
            votes = {decay: self._votes(source, decay, rows) for decay in DECAYS}
            for place, (decay, weight) in enumerate(settings):
                sums[place] += [part.sum() for part in self._gains(base + np.float32(weight) * votes[decay], rows)]
        means = sums / len(self.cases)
        return [
            _Choice(source, decay, weight, *mean)
            for (decay, weight), mean in zip(settings, means.tolist(), strict=True)
        ]

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield B cases at a time with the student's scores float32 ``[B, N]``, in which seen items are hidden."""
        size = max(1, MOST_SCORES // self.n_items)
        for start in range(0, len(self.cases), size):
            rows = np.arange(start, min(start + size, len(self.cases)))
            histories = self._histories(rows)
            scores = np.array(self.scorer.score(histories))
            hide(scores, histories)
            yield rows, scores

    def _votes(self, source: Source, decay: float, rows: np.ndarray) -> np.ndarray:
        """Return the summed item-item weights float32 ``[B, N]`` of the cases' histories."""
        voters = Neighbours.of(source.items, source.votes, decay ** np.arange(self.length))
        history, length = pad_histories(self._histories(rows), self.length, self.n_items)
        return voters(torch.zeros(len(rows), self.n_items), history, length).numpy()

    def _gains(self, scores: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranks = target_ranks(scores, self.cases.targets[rows])
        return metrics.ndcg(ranks, 10), metrics.hit_rate(ranks, 10)

    def _histories(self, rows: np.ndarray) -> list[np.ndarray]:
        return [self.cases.history(int(row)) for row in rows]
