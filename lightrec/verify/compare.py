"""Compare a model's answers with those recorded in the golden cases."""

from __future__ import annotations

import numpy as np

from lightrec.bundle import GoldenCase, ModelRecord
from lightrec.verify.report import ModelCheck, Status


def compare(case: GoldenCase, items: np.ndarray, scores: np.ndarray, tolerance: float) -> str | None:
    """Return what is wrong with an answer to a golden case; None if it is right.

    Args:
        case: the request and the recorded answer.
        items: the items answered, best first, without -1.
        scores: their scores.
        tolerance: the maximum difference of a score; adjacent items whose recorded scores differ by no more than this
            may be swapped.
    """
    if len(items) != len(case.items):
        return f"{len(items)} items instead of {len(case.items)}"
    expected = np.array(case.scores, dtype=np.float64)
    difference = score_difference(case, scores)
    if not difference <= tolerance:  # also true for NaN
        return f"scores differ by {difference:.2g}, more than {tolerance:.2g}"
    gaps = np.concatenate([[np.inf], -np.diff(expected)])
    # The last item may have been swapped with the first one below the list.
    tied = (gaps <= tolerance) | (np.append(gaps[1:], 0) <= tolerance)
    wrong = np.flatnonzero((items != np.array(case.items)) & ~tied)
    return f"item {items[wrong[0]]} instead of {case.items[wrong[0]]} at rank {wrong[0] + 1}" if len(wrong) else None


def score_difference(case: GoldenCase, scores: np.ndarray) -> float:
    """Return the maximum difference of the scores at the same rank, over the ranks that both answers have."""
    length = min(len(scores), len(case.scores))
    return float(np.abs(scores[:length] - np.array(case.scores[:length])).max(initial=0.0))


def check_answers(
    model: ModelRecord,
    cases: list[GoldenCase],
    answers: list[tuple[np.ndarray, np.ndarray]],
    tolerance: float,
    way: str = "",
    runtime: str | None = None,
) -> ModelCheck:
    """Compare the answers of a model with the golden ones; ``way`` describes in a failure how the model was run."""
    problem, largest = None, 0.0
    for number, (case, (items, scores)) in enumerate(zip(cases, answers, strict=True)):
        found = compare(case, items, scores, tolerance)
        problem = problem or (found and f"{way}golden case {number}: {found}")
        largest = max(largest, score_difference(case, scores))
    status: Status = "failed" if problem else "passed"
    return ModelCheck(runtime or model.backend, model.precision, status, len(cases), largest, problem or "")
