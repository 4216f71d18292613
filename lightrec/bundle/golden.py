"""The golden cases of a bundle: synthetic histories with the answers that every runtime must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightrec.bundle.manifest import GOLDEN, MAX_COUNT, Manifest
from lightrec.errors import BundleError
from lightrec.files.atomic import write_json
from lightrec.files.untrusted import is_count, is_indices, is_number, parse_json, read_bytes

MAX_CASES = 10_000
"""The maximum number of golden cases in a bundle; lightrec writes a few dozen."""


@dataclasses.dataclass(frozen=True)
class GoldenCase:
    """A synthetic history and the answer that every runtime must give."""

    history: list[int]
    """Item indices, oldest first, at most L."""
    exclude: list[int]
    """Further items that must not be returned."""
    k: int
    """How many items were requested."""
    items: list[int]
    """The answer, best first."""
    scores: list[float]
    """Their scores."""


def write_golden(path: str | Path, cases: Sequence[GoldenCase], tolerance: float) -> None:
    """Write golden.json; scores may differ from the recorded ones by ``tolerance``."""
    rows = [{"length": len(case.history), **dataclasses.asdict(case)} for case in cases]
    write_json(Path(path) / GOLDEN, {"tolerance": tolerance, "cases": rows})


def read_golden(path: str | Path, manifest: Manifest | None = None) -> tuple[list[GoldenCase], float]:
    """Return the golden cases, at least one, and the tolerance of their scores.

    Args:
        path: the bundle.
        manifest: its manifest; if None, for a folder without one, the cases are not checked against the catalogue.

    Raises:
        BundleError: if there is no case, or a case does not fit the bundle.
    """
    file = Path(path) / GOLDEN
    golden = parse_json(read_bytes(file), file)
    rows = golden.get("cases") if isinstance(golden, dict) else None
    if not isinstance(rows, list) or not is_number(golden.get("tolerance")):
        raise BundleError(f"{file} is malformed (it gives no list of cases with a tolerance): export again.")
    if not any(isinstance(row, dict) and row.get("items") for row in rows):
        raise BundleError(f"{file} holds no golden case with an answer, so nothing can be checked: export again.")
    if len(rows) > MAX_CASES:
        raise BundleError(f"{file} holds {len(rows):,} golden cases, more than {MAX_CASES:,}: export again.")
    sizes = (MAX_COUNT, MAX_COUNT) if manifest is None else (manifest.n_items, manifest.max_length)
    for number, row in enumerate(rows):
        problem = _problem(row, *sizes)
        if problem:
            raise BundleError(f"{file} is malformed (case {number} {problem}): export again.")
    names = [field.name for field in dataclasses.fields(GoldenCase)]
    cases = [GoldenCase(**{name: row[name] for name in names}) for row in rows]
    tolerance = float(golden["tolerance"])
    largest = max((abs(score) for case in cases for score in case.scores), default=0.0)
    if not 0 <= tolerance <= max(1.0, largest):
        raise BundleError(f"{file} allows scores to differ by {tolerance:g}, as much as they are: export again.")
    return cases, tolerance


def _problem(row: Any, n_items: int, max_length: int) -> str | None:
    """Return what is wrong with a golden case as written; None if nothing is."""
    if not isinstance(row, dict):
        return "is not an object"
    lists: list[Any] = [row.get(name) for name in ("history", "exclude", "items", "scores")]
    history, exclude, items, scores = lists
    if not all(isinstance(values, list) for values in lists) or not 1 <= len(history) <= max_length:
        return f"has no history of 1 to {max_length} items, or lacks exclude, items or scores"
    if not all(is_indices(values, n_items) for values in (history, exclude, items)):
        return f"names something else than the items 0 to {n_items - 1}"
    if not is_count(row.get("k"), 1, MAX_COUNT) or len(items) > row["k"]:
        return "has no k, or more items than that"
    if len(scores) != len(items) or not all(map(is_number, scores)):
        return "does not give each of its items a score"
    if len(set(items)) != len(items) or set(items) & {*history, *exclude}:
        return "answers with an item twice, or with one of the history or of exclude"
    return None
