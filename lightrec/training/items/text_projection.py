"""Fit of the projection from item texts to a trained student's item vectors, for items that it never saw."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightrec import metrics
from lightrec.bundle import TEXT_PROJECTION
from lightrec.data.dataset import Dataset
from lightrec.data.held_out_items import held_out_items, without_items
from lightrec.data.splits import Cases, make_split
from lightrec.errors import DataError, ModelError
from lightrec.evaluation.ranking import hide
from lightrec.files.atomic import new_file
from lightrec.models.load import load_model
from lightrec.models.scoring import pad_histories
from lightrec.models.students.student import Student
from lightrec.models.students.text_projection import TextProjection
from lightrec.models.teachers.language_model import LanguageModel, load_language_model
from lightrec.training.items.text_vectors import encode_texts, fingerprint

FOLDS = 20
"""Number of folds of the items; each fold serves as the new items once, so that one item in twenty is new."""

PENALTIES = (0.003, 0.01, 0.03, 0.1)
"""Ridge penalties to choose from, relative to the mean variance of the text vectors."""

SCALES = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)
"""Factors on the projected vectors to choose from: regression shrinks vectors, and shorter ones score too low."""

MOST_SCORES = 20_000_000
"""Most scores in memory (80 MB); if validation cases have more, some are drawn."""


def fit_text_projection(
    run: str | Path,
    dataset: Dataset,
    base: LanguageModel,
    *,
    max_warm_drop: float = 0.05,
    device: str = "cpu",
    seed: int = 0,
) -> TextProjection:
    """Fit a projection to the item table of a finished student and write it into the run folder.

    The map is a ridge regression of the item vectors on the text vectors, weighted by each item's number of training
    events. It is fitted to items with a text and a training event; items held out of training have no such event.

    Penalty and scale are chosen by cross-fitting: a twentieth of the items at a time gets vectors from a map fitted to
    the others, and the validation cases are ranked again. Of the pairs that cost the other targets at most
    ``max_warm_drop`` of their NDCG@10, the one that ranks the replaced targets best is chosen.

    Args:
        run: folder of ``lightrec train`` or ``lightrec distill``.
        dataset: the data that the run was trained on.
        base: the language model that reads the texts.
        max_warm_drop: largest relative loss of NDCG@10 of trained items due to new ones.
        device: the device that encodes the texts.
        seed: draws the folds and the validation cases.

    Raises:
        ModelError: if the run is not of a student.
        DataError: if fewer than :data:`FOLDS` items have a text and a training event.
    """
    model, record = load_model(run)
    if not isinstance(model, Student):
        raise ModelError(f"{run} holds a teacher: give the run of a student (lightrec train or distill).")
    split = make_split(dataset, record["split"]["name"], record["split"]["quantile"])
    split = without_items(split, held_out_items(dataset, record))
    counts = split.popularity()
    known = np.flatnonzero((counts > 0) & np.array([bool(text) for text in dataset.item_texts]))
    if len(known) < FOLDS:
        raise DataError(
            f"{dataset.name} has {len(known)} items with a text and a training event, and {FOLDS} are needed: prepare "
            "the data with --items."
        )
    texts = encode_texts(base, dataset.item_texts, device=device).astype(np.float64)
    table = model.item_table.detach().numpy().astype(np.float64)
    rng = np.random.default_rng(seed)
    fold = np.full(len(table), -1)
    fold[known] = rng.permutation(len(known)) % FOLDS
    trial = Trial.of(model, split.validation, fold, rng)
    penalty, scale, figures = _choose(trial, texts, table, counts, max_warm_drop)
    weight, bias = ridge(texts[known], table[known], counts[known], penalty)
    projection = TextProjection(
        weight=(scale * weight).astype(np.float32),
        bias=(scale * bias).astype(np.float32),
        language_model=base.name,
        fingerprint=fingerprint(base),
        facts={"items": len(known), "penalty": penalty, "scale": scale, **figures},
    )
    with new_file(Path(run) / TEXT_PROJECTION) as beside:
        projection.save(beside)
    return projection


def ridge(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Solve a weighted ridge regression with an unpenalised intercept.

    The solution minimises the weighted mean of ``|target - W input - b|**2`` plus ``penalty * v * |W|**2``, where v is
    the mean variance of an input, so that a penalty has the same effect for every language model.

    Args:
        inputs: ``[n, H]``.
        targets: ``[n, d]``.
        weights: ``[n]``, positive.
        penalty: the ridge penalty; 0 gives least squares.

    Returns:
        W float64 ``[d, H]`` and b ``[d]``.

    >>> ridge(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]), np.ones(3), penalty=0)
    (array([[2.]]), array([1.]))
    """
    share = weights / weights.sum()
    centre, middle = share @ inputs, share @ targets
    inputs, targets = inputs - centre, targets - middle
    covariance = (inputs * share[:, None]).T @ inputs
    covariance += penalty * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    weight = np.linalg.lstsq(covariance, (inputs * share[:, None]).T @ targets, rcond=None)[0].T
    return weight, middle - weight @ centre


def cross_fit(texts: np.ndarray, table: np.ndarray, counts: np.ndarray, fold: np.ndarray, penalty: float) -> np.ndarray:
    """Return the item table ``[N, d]`` with each row in a fold (-1: none) projected by a map fitted to other folds."""
    projected = table.copy()
    for number in range(fold.max() + 1):
        others, own = (fold >= 0) & (fold != number), fold == number
        weight, bias = ridge(texts[others], table[others], counts[others], penalty)
        projected[own] = texts[own] @ weight.T + bias
    return projected


@dataclasses.dataclass(frozen=True)
class Trial:
    """C validation cases, ranked with the vectors of one fold of the items replaced at a time."""

    states: np.ndarray
    """float32 ``[C, d]``: the student's state after each history."""
    scores: np.ndarray
    """float32 ``[C, N]`` with the trained vectors; seen items are minus infinity."""
    targets: np.ndarray
    """int64 ``[C]``."""
    fold: np.ndarray
    """int64 ``[N]``: the fold of each item, -1 for none."""

    @classmethod
    def of(cls, model: Student, cases: Cases, fold: np.ndarray, rng: np.random.Generator) -> Trial:
        """Draw cases and score them with ``model``; cases whose target is in the history are left out."""
        chosen = rng.permutation(len(cases))[: max(1, MOST_SCORES // model.config.n_items)]
        cases = cases.take(np.sort(chosen))
        histories = [cases.history(case) for case in range(len(cases))]
        history, length = pad_histories(histories, model.config.max_length, model.config.n_items)
        with torch.inference_mode():
            batches = zip(history.split(256), length.split(256), strict=True)
            states = torch.cat([model.last_state(*batch) for batch in batches])
            scores = model.logits(states).numpy()
        hide(scores, histories)
        left = scores[np.arange(len(cases)), cases.targets] > -np.inf
        return cls(states.numpy()[left], scores[left], cases.targets[left], fold)

    def ask(self, projected: np.ndarray, scale: float) -> tuple[float, float, float]:
        """Return NDCG@10 of replaced targets, of the others, and of these others without any replaced item.

        Each item's vector is replaced by ``scale`` times its projected vector while its fold is tried.
        """
        cold, warm, before = [], [], []
        own = self.scores[np.arange(len(self.targets)), self.targets][:, None]
        at_least = np.count_nonzero(self.scores >= own, axis=1)
        for number in range(self.fold.max() + 1):
            items = np.flatnonzero(self.fold == number)
            trained = self.scores[:, items]
            new = np.where(trained == -np.inf, -np.inf, self.states @ (scale * projected[items].T).astype(np.float32))
            asked = self.fold[self.targets] == number
            ranks = at_least - np.count_nonzero(trained >= own, axis=1)
            before.append(ranks[~asked])
            warm.append((ranks + np.count_nonzero(new >= own, axis=1))[~asked])
            mine = new[asked, np.searchsorted(items, self.targets[asked])][:, None]
            others = np.count_nonzero(self.scores[asked] >= mine, axis=1)
            others -= np.count_nonzero(trained[asked] >= mine, axis=1)
            cold.append(others + np.count_nonzero(new[asked] >= mine, axis=1))
        return tuple(float(metrics.ndcg(np.concatenate(ranks), 10).mean()) for ranks in (cold, warm, before))  # type: ignore[return-value]


def _choose(
    trial: Trial, texts: np.ndarray, table: np.ndarray, counts: np.ndarray, max_warm_drop: float
) -> tuple[float, float, dict[str, Any]]:
    """Return the penalty and the scale that rank replaced items best within the drop, and their figures."""
    found = []
    for penalty in PENALTIES:
        projected = cross_fit(texts, table, counts, trial.fold, penalty)
        for scale in SCALES:
            cold, warm, before = trial.ask(projected, scale)
            fits = warm >= (1 - max_warm_drop) * before
            figures = {"cold_ndcg@10": cold, "warm_ndcg@10": warm, "warm_ndcg@10_before": before}
            found.append((fits, cold if fits else warm, penalty, scale, figures))
    return max(found, key=lambda row: row[:2])[2:]


def give_vectors(model: Any, run: str | Path, dataset: Dataset, items: np.ndarray) -> None:
    """Replace the vectors of ``items`` (bool ``[N]``) in ``model`` by the run's projection of their texts.

    The model is folded, as for an export, because the projection also determines a vector's length, which matters.

    Raises:
        ModelError: if the run has no projection, or is a teacher's.
    """
    if not isinstance(model, Student):
        raise ModelError(f"{run} holds a teacher: give the run of a student (lightrec train or distill).")
    projection = TextProjection.load(Path(run) / TEXT_PROJECTION)
    texts = [dataset.item_texts[item] for item in np.flatnonzero(items)]
    vectors = projection.project(encode_texts(load_fitting(projection), texts))
    table = model.fold().item_table.detach().clone()
    table[torch.from_numpy(items)] = torch.from_numpy(vectors)
    model.set_item_table(table)


def load_fitting(projection: TextProjection, base: str | None = None) -> LanguageModel:
    """Load the language model that a projection was fitted to, by its recorded name or from ``base``.

    Raises:
        ModelError: if it cannot be loaded or has other weights.
    """
    model = load_language_model(base or projection.language_model)
    if fingerprint(model) != projection.fingerprint:
        raise ModelError(
            f"The weights of {model.name} are not those that the text projection was fitted to "
            f"({projection.language_model}): name the right language model with --base."
        )
    return model
