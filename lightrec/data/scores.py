"""Scores of items by any system at events of a prepared data set: a file of (user, position, item, score).

The format is any that :mod:`lightrec.data.reading.readers` knows; ``user`` and ``item`` are ids as in the source
data, and ``position`` counts a user's events from 0 in the order of :meth:`~lightrec.data.dataset.Dataset.sequence`:
the scores at position t predict the event there from the t events before it. Instead of ``score`` there may be
``rank``, 1 for the best, and the score is then minus its logarithm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.readers import ReadOptions, Table, as_ids
from lightrec.errors import DataError
from lightrec.files.atomic import new_file


@dataclasses.dataclass(frozen=True)
class Scores:
    """S scores, sorted by user, position and descending score."""

    users: np.ndarray
    """int64 ``[S]``."""
    positions: np.ndarray
    """int64 ``[S]``: 0-based, in the user's sequence."""
    items: np.ndarray
    """int64 ``[S]``."""
    scores: np.ndarray
    """float32 ``[S]``, finite."""


def read_scores(path: str | Path, dataset: Dataset) -> Scores:
    """Read a file of scores for the events of ``dataset``.

    Raises:
        DataError: if a column is missing; or, naming the row, if an id or position is unknown, a score is not a finite
            number, or an item occurs twice at a position.
    """
    table = Table(path, ReadOptions(flags=""))
    value = "rank" if "rank" in table.columns and "score" not in table.columns else "score"
    missing = [name for name in ("user", "position", "item", value) if name not in table.columns]
    if missing:
        raise DataError(
            f"{table.file} has no column {' and no column '.join(map(repr, missing))}: it needs user, position, item "
            f"and score (or rank); it has {', '.join(table.columns)}."
        )
    raw = table.read(["user", "position", "item", value])
    frame = pl.DataFrame(
        {
            "user": _indices(as_ids(raw["user"], table.file), dataset.user_ids, "user", table.file),
            "position": _whole(raw["position"], table.file),
            "item": _indices(as_ids(raw["item"], table.file), dataset.item_ids, "item", table.file),
            "score": _finite(raw[value], table.file),
        }
    )
    ends = np.diff(dataset.offsets)[frame["user"].to_numpy()]
    position = frame["position"].to_numpy()
    _refuse(
        (position < 0) | (position >= ends),
        table.file,
        lambda row: (
            f"has position {position[row]}, but user {raw['user'][row]} has positions 0 to {ends[row] - 1}: count a "
            "user's events from 0"
        ),
    )
    _refuse(
        ~frame.select(pl.struct("user", "position", "item").is_first_distinct()).to_series().to_numpy(),
        table.file,
        lambda row: f"names item {raw['item'][row]} again for the same user and position: keep one of them",
    )
    if value == "rank":
        _refuse(frame["score"].to_numpy() < 1, table.file, lambda row: f"has rank {raw[value][row]}: ranks start at 1")
        frame = frame.with_columns(-pl.col("score").log())
    frame = frame.sort("user", "position", -pl.col("score"), "item")
    return Scores(
        users=frame["user"].to_numpy(),
        positions=frame["position"].to_numpy(),
        items=frame["item"].to_numpy(),
        scores=frame["score"].to_numpy().astype(np.float32),
    )


def _indices(ids: pl.Series, known: Sequence[str], what: str, file: str) -> pl.Series:
    places = pl.DataFrame({"id": list(known), "index": np.arange(len(known), dtype=np.int64)})
    found = pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")["index"]
    _refuse(
        found.is_null().to_numpy(),
        file,
        lambda row: f"names {what} {ids[row]!r}, which the data set does not hold: use the ids of the source data",
    )
    return found


def _whole(column: pl.Series, file: str) -> pl.Series:
    if column.dtype.is_float():
        raise DataError(f"Column 'position' of {file} has type {column.dtype}: store positions as whole numbers.")
    numbers = column.cast(pl.Int64, strict=False)
    _refuse(numbers.is_null().to_numpy(), file, lambda row: f"has position {column[row]!r}: it must be a whole number")
    return numbers


def _finite(column: pl.Series, file: str) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False)
    _refuse(
        ~numbers.is_finite().fill_null(False).to_numpy(),
        file,
        lambda row: f"has {column.name} {column[row]!r}: it must be a finite number",
    )
    return numbers


def _refuse(wrong: np.ndarray, file: str, describe: Callable[[int], str]) -> None:
    """Raise :class:`DataError` for the first wrong row, with the number of wrong rows."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        others = f" ({len(rows) - 1:,} more rows are alike)" if len(rows) > 1 else ""
        raise DataError(f"Row {rows[0] + 1:,} of {file} {describe(int(rows[0]))}{others}.")


def write_scores(path: Path, dataset: Dataset, scores: Scores) -> None:
    """Write the Parquet file that :func:`read_scores` reads; a failure leaves no partial file at ``path``."""
    users, items = (np.array(ids, dtype=object) for ids in (dataset.user_ids, dataset.item_ids))
    frame = pl.DataFrame(
        {
            "user": pl.Series(users[scores.users], dtype=pl.String),
            "position": scores.positions,
            "item": pl.Series(items[scores.items], dtype=pl.String),
            "score": scores.scores,
        }
    )
    with new_file(path) as beside:
        frame.write_parquet(beside)
