"""The parity gate: an exported graph must rank items as the trained model does, or no bundle is written.

The graph runs in the runtime that will serve it. Its answers are compared with an independent computation from the
model: score the whole catalogue with torch, mask the items that must not be returned, and sort, ties by lowest index.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lightrec import metrics
from lightrec.data.splits import Cases
from lightrec.errors import ParityError
from lightrec.evaluation.intervals import interval_of, sums_by_user, user_weights
from lightrec.evaluation.ranking import best_items, hide, ranks_in_lists, target_ranks
from lightrec.models.scoring import ModelScorer, pad_histories
from lightrec.models.students.student import Student
from lightrec.runtime.backends.base import Backend

CASES = 20_000
"""Largest number of validation cases compared, drawn at random if there are more. An 8-bit copy as good as its model
(on 22,363 users the same NDCG@10 to 0.01 %) was measured 0.7 % below it with 5,000 cases, and 1 % below with 2,000."""

SCORES_IN_ALL = 250_000_000
"""Largest number of scores in all: fewer cases are drawn to stay below it, but not fewer than :data:`FEWEST`."""

FEWEST = 2000

K = 10
"""Length of the lists on which NDCG and overlap are measured."""

TIE = 1e-4
"""Two items with scores closer than this, relative to the largest magnitude in the list (at least 1), may swap ranks:
torch and a runtime add the same products in different orders."""

SCORES_AT_ONCE = 16_000_000
"""Largest number of scores in one batch (64 MB)."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """Comparison of an exported graph with its model on the same histories."""

    cases: int
    """Number of real histories compared."""
    equal: float
    """Share of the histories with the same ranking up to the k limit, near-ties aside (:data:`TIE`)."""
    top10_overlap: float
    """Mean share of the model's ten best items among the graph's ten best."""
    ndcg_model: float
    """NDCG@10 of the model."""
    ndcg_exported: float
    """NDCG@10 of the graph."""
    ndcg_drop_range: tuple[float, float]
    """Interval with the relative loss of NDCG@10 of the central 95 % of resamples of the users."""
    max_score_difference: float
    """Largest difference between an item's score from the model and from the graph."""

    @property
    def ndcg_drop(self) -> float:
        """Loss of NDCG@10 relative to the model's; negative for a gain, 0 if the model's NDCG@10 is 0."""
        return 1 - self.ndcg_exported / self.ndcg_model if self.ndcg_model else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures as written in a manifest."""
        return {
            "cases": self.cases,
            "equal_rankings": self.equal,
            "top10_overlap": self.top10_overlap,
            "ndcg@10_torch": self.ndcg_model,
            "ndcg@10_exported": self.ndcg_exported,
            "ndcg_drop": self.ndcg_drop,
            "ndcg_drop_95": list(self.ndcg_drop_range),
            "max_score_difference": self.max_score_difference,
        }


@dataclasses.dataclass(frozen=True)
class Question:
    """A request to rank the catalogue for a batch of histories, given as whole sequences of item indices."""

    histories: Sequence[np.ndarray]
    """B histories, oldest item first; items older than the model's window still count as seen."""
    k: int
    """Number of items requested."""
    excludes: Sequence[np.ndarray] | None = None
    """B sets of further items that must not be returned."""


def check_parity(
    model: Student, graph: Backend, cases: Cases, *, precision: str, k_limit: int, max_ndcg_drop: float, seed: int = 0
) -> Parity:
    """Compare ``graph`` with ``model`` on edge cases and on real histories.

    Args:
        model: the trained student.
        graph: the exported graph, opened in its runtime.
        cases: validation cases; :data:`CASES` of them are drawn if there are more.
        precision: "fp32" must give the same rankings; the others may lose ``max_ndcg_drop``.
        k_limit: the longest ranking that is compared.
        max_ndcg_drop: allowed relative loss of NDCG@10.
        seed: seed of the draw.

    Raises:
        ParityError: if an answer is malformed, or the rankings or NDCG@10 differ by more than is allowed.
    """
    where = f"The exported graph ({graph.name}, {precision})"
    for name, question in edge_questions(model, seed):
        _compare(model, graph, question, f"{where}, asked with {name},", exact=precision == "fp32")
    count = min(CASES, max(FEWEST, SCORES_IN_ALL // model.config.n_items))
    parity = measure(model, graph, _draw(cases, count, seed), k_limit, where)
    if precision == "fp32" and parity.equal < 1:
        raise ParityError(
            f"{where} ranks {1 - parity.equal:.2%} of {parity.cases} validation histories unlike the model "
            f"(scores differ by up to {parity.max_score_difference:.2g}): no bundle was written; report this as a bug."
        )
    if parity.ndcg_drop > max_ndcg_drop:
        raise ParityError(
            f"{where} has NDCG@10 {parity.ndcg_exported:.4f} where the model has {parity.ndcg_model:.4f} on "
            f"{parity.cases} validation histories: {parity.ndcg_drop:.2%} lost, {max_ndcg_drop:.2%} allowed. No bundle "
            "was written: choose a finer --precision or raise --max-ndcg-drop."
        )
    return parity


def measure(model: Student, graph: Backend, cases: Cases, k_limit: int, where: str = "The graph") -> Parity:
    """Compare model and graph on every case; see :class:`Parity`. Malformed answers raise :class:`ParityError`."""
    depth = max(K, k_limit)
    columns: dict[str, list[np.ndarray]] = {"equal": [], "overlap": [], "model": [], "exported": [], "difference": []}
    size = max(1, min(256, SCORES_AT_ONCE // model.config.n_items))
    for start in range(0, len(cases), size):
        batch = np.arange(start, min(start + size, len(cases)))
        question = Question([cases.history(case) for case in batch], depth)
        expected, items, scores = _ask(model, graph, question, where)
        wanted, targets = best_items(expected, depth), cases.targets[batch]
        columns["equal"].append(_same_ranking(expected, wanted[:, : items.shape[1]], items))
        columns["overlap"].append(metrics.overlap(wanted[:, :K], items[:, :K]))
        columns["model"].append(metrics.ndcg(target_ranks(expected, targets, "lowest-index"), K))
        columns["exported"].append(metrics.ndcg(ranks_in_lists(items, targets), K))
        columns["difference"].append(_score_differences(expected, items, scores))
    found = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Parity(
        cases=len(cases),
        equal=float(found["equal"].mean()),
        top10_overlap=float(found["overlap"].mean()),
        ndcg_model=float(found["model"].mean()),
        ndcg_exported=float(found["exported"].mean()),
        ndcg_drop_range=_drop_range(found["model"], found["exported"], cases.users),
        max_score_difference=float(found["difference"].max()),
    )


def _drop_range(model: np.ndarray, exported: np.ndarray, users: np.ndarray) -> tuple[float, float]:
    """Return the central 95 % of the relative loss over 1,000 resamples of the users, the same for model and graph."""
    sums, _ = sums_by_user(np.stack([model, exported], axis=1), users)
    drawn = np.concatenate([weights @ sums for weights in user_weights(len(sums), 1000, seed=0)])
    drops = 1 - drawn[:, 1] / np.where(drawn[:, 0] > 0, drawn[:, 0], np.inf)
    interval = interval_of(0.0, np.where(drawn[:, 0] > 0, drops, 0.0))
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def edge_questions(model: Student, seed: int = 0) -> Iterator[tuple[str, Question]]:
    """Yield named questions on made-up histories that test the limits of valid inputs."""
    n_items, longest = model.config.n_items, model.config.max_length
    rng = np.random.default_rng(seed)

    def history(length: int) -> np.ndarray:
        return rng.integers(0, n_items, length)

    everything = np.arange(n_items)
    yield "one item", Question([history(1)], K)
    yield "item 0 alone", Question([np.array([0])], K)
    yield "the longest history", Question([history(longest)], K)
    yield "a history longer than the window", Question([history(longest + 3)], K)
    yield "several lengths", Question([history(1 + n % longest) for n in (0, longest - 1, longest // 2)], K)
    yield "k = 1", Question([history(2)], 1)
    yield "k beyond the catalogue", Question([history(2), history(1)], n_items + 5)
    yield "excluded items", Question([history(2), history(1)], K, [history(3), history(1)])
    yield "little that remains", Question([history(2), history(1)], K, [everything[3:], everything[1:]])


def _compare(model: Student, graph: Backend, question: Question, where: str, exact: bool) -> None:
    expected, items, _ = _ask(model, graph, question, where)
    if exact and not _same_ranking(expected, best_items(expected, items.shape[1]), items).all():
        raise ParityError(f"{where} ranks unlike the model: no bundle was written; report this as a bug.")


def _ask(model: Student, graph: Backend, question: Question, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the model's scores ``[B, N]``, with masked items at minus infinity, and the graph's items and scores.

    Raises :class:`ParityError` if the graph's answer is malformed.
    """
    excludes = question.excludes or [np.empty(0, dtype=np.int64)] * len(question.histories)
    hidden = [np.concatenate(pair) for pair in zip(question.histories, excludes, strict=True)]
    expected = ModelScorer(model).score(question.histories)
    hide(expected, hidden)

    window = model.config.max_length
    history, length = pad_histories(question.histories, window, model.config.n_items)
    older = [np.concatenate([h[:-window], e]) for h, e in zip(question.histories, excludes, strict=True)]
    items, scores = graph.run(history.numpy(), length.numpy(), _pad(older), np.array([question.k], dtype=np.int64))
    problem = malformed(items, scores, expected, question.k)
    if problem:
        raise ParityError(f"{where} {problem}: no bundle was written; report this as a bug.")
    return expected, items, scores


def malformed(items: np.ndarray, scores: np.ndarray, expected: np.ndarray, k: int) -> str | None:
    """Return what is wrong with the form of an answer, without judging its ranking; None if nothing is wrong.

    Args:
        items: int64 ``[B, K]``, the answer.
        scores: float32 ``[B, K]``, the answer.
        expected: float32 ``[B, N]``, minus infinity for items that must not be returned.
        k: number of items requested.
    """
    allowed = expected > -np.inf
    counts = np.minimum(allowed.sum(axis=1), k)
    shape = (len(expected), int(counts.max()))
    if items.shape != shape or scores.shape != shape:
        return f"answers in the shapes {items.shape} and {scores.shape} instead of {shape}"
    real = np.arange(shape[1]) < counts[:, None]
    if not np.array_equal(items >= 0, real) or (items[~real] != -1).any():
        return "does not fill its lists from the front and end them in -1"
    if (
        items.max(initial=-1) >= expected.shape[1]
        or not np.take_along_axis(allowed, np.where(real, items, 0), 1)[real].all()
    ):
        return "returns an item that is seen, excluded or padding"
    if not np.isfinite(scores[real]).all() or (scores[~real] != -np.inf).any():
        return "returns scores that are not finite"
    if (scores[:, 1:] > scores[:, :-1]).any():
        return "does not return the best item first"
    ordered = np.sort(np.where(real, items, -1 - np.arange(shape[1])), axis=1)
    return "returns an item twice" if (np.diff(ordered, axis=1) == 0).any() else None


def _same_ranking(expected: np.ndarray, wanted: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return bool ``[B]``: whether every rank holds the model's item, or one with an equal score up to :data:`TIE`."""
    best, given = _scores_of(expected, wanted), _scores_of(expected, items)
    real = np.isfinite(best)
    allowed = TIE * np.maximum(1, np.abs(np.where(real, best, 0)).max(axis=1, keepdims=True, initial=0))
    with np.errstate(invalid="ignore"):
        close = np.abs(best - given) <= allowed
    return (close | (wanted == items)).all(axis=1)


def _score_differences(expected: np.ndarray, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return float ``[B]``: the largest difference between the two scores of an item in each list."""
    real = items >= 0
    differences = np.where(real, scores, 0) - np.where(real, _scores_of(expected, items), 0)
    return np.abs(differences).max(axis=1, initial=0)


def _scores_of(expected: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the model's scores of ``items [B, K]``; minus infinity for item -1."""
    return np.where(items >= 0, np.take_along_axis(expected, np.maximum(items, 0), axis=1), -np.inf)


def _draw(cases: Cases, count: int, seed: int) -> Cases:
    if len(cases) <= count:
        return cases
    return cases.take(np.sort(np.random.default_rng(seed).choice(len(cases), count, replace=False)))


def _pad(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the rows as int64 ``[B, E]``, padded with -1; E is the length of the longest row and may be 0."""
    padded = np.full((len(rows), max(len(row) for row in rows)), -1, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
