"""Ids of users and items as exact text, without those that mean "none"."""

from __future__ import annotations

import dataclasses

import numpy as np

from lightrec.data.reading.polars_import import pl
from lightrec.errors import DataError

NO_ID = (
    *("NA", "N/A", "n/a", "<NA>", "nan", "NaN", "NAN", "NaT", "None", "none", "null", "NULL", "Null", "\\N"),
    *('""', "''", "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!"),
)
"""Texts that programs write where there is no id."""
ROUNDED = r"^\d([.,]\d+)?[eE]\+\d{2,}$"
"""How spreadsheets write a number that is too long for its cell: 1.23457E+12."""
PAST_EXACT = r"^\d{15}0+$"
"""Spreadsheets keep 15 digits of a number and make zeros of the rest."""


@dataclasses.dataclass(frozen=True)
class Ids:
    """The ids of a column, one per row."""

    values: pl.Series
    """Text without spaces around it; null where there is no id."""
    notes: tuple[str, ...] = ()
    """Sentences about the decisions made."""


def read_ids(column: pl.Series, file: str, *, keep: bool = False) -> Ids:
    """Read a column of ids: text keeps everything but spaces around it, whole numbers become decimal text.

    Whole numbers that are stored as floats (pandas does so where some are missing) become whole numbers: ``17850.0``
    of a Parquet file is ``17850``. Text is not changed that way: ``17850.0`` of a CSV file stays.

    Args:
        column: the ids.
        file: the file's name, for messages.
        keep: keep texts such as "None" and "NA" as ids; empty ones are never ids.

    Raises:
        DataError: if the column is of a type that holds no ids, or a spreadsheet has rounded them.
    """
    notes = []
    if column.dtype.is_float():
        column = _whole(column, file)
        notes.append(f"Column {column.name!r} of {file} holds whole numbers stored as floats: 5.0 is read as id 5.")
    ids = _as_text(column, file)
    trimmed = ids.str.strip_chars()
    changed = int((trimmed != ids).sum())
    if changed:
        notes.append(f"Spaces around {changed:,} ids in column {column.name!r} of {file} were left out.")
    missing = ["", *(() if keep else NO_ID)]
    values = pl.DataFrame({"id": trimmed}).select(pl.when(~pl.col("id").is_in(missing)).then(pl.col("id")).alias("id"))
    if column.dtype == pl.String and not keep:
        _refuse_rounded(values["id"], column.name, file)
    if values["id"].n_unique() > 2 and values["id"].str.contains(PAST_EXACT).all():
        notes.append(
            f"Every id in column {column.name!r} of {file} has zeros after its 15th digit, as spreadsheets write ids "
            "that they have rounded: export the column as text if different ids became one."
        )
    separator = next((sign for sign in ";|," if _most_have(values["id"], sign)), None)
    if separator is not None:
        example = values["id"].drop_nulls()[0]
        notes.append(
            f"Most ids in column {column.name!r} of {file} have {separator!r} within them (such as {example}): if they "
            "are lists of ids, write them as [a, b]."
        )
    if column.dtype == pl.String and _all_floats(values["id"]):
        notes.append(
            f"Every id in column {column.name!r} of {file} ends in .0, as floats do: they are kept as they are."
        )
    return Ids(values["id"].alias(column.name), tuple(notes))


def _refuse_rounded(ids: pl.Series, name: str, file: str) -> None:
    rounded = ids.filter(ids.str.contains(ROUNDED).fill_null(False))
    if len(rounded):
        raise DataError(
            f"Column {name!r} of {file} holds {rounded[0]!r} ({len(rounded):,} such rows), a number that a "
            "spreadsheet has rounded, so that different ids became one: format the column as text before the ids are "
            "entered or imported, and save the file again; if these are real ids, keep them with --keep-na-ids."
        )


def note_missing(column: pl.Series, file: str, what: str) -> str:
    """Return the sentence about rows that have no id, with the texts found in their place."""
    found = column.cast(pl.String, strict=False).str.strip_chars().fill_null("empty").replace("", "empty")
    counts = found.value_counts(sort=True).rows()
    told = ", ".join(f"{value} {count:,}" for value, count in counts[:4])
    return (
        f"{file} has no {what} in column {column.name!r} of {len(column):,} rows ({told}), which are left out; "
        "if such a text is a real id, keep it with --keep-na-ids."
    )


def _whole(column: pl.Series, file: str) -> pl.Series:
    """Return floats as whole numbers, NaN as null; refuse a fraction or a number too large to be exact."""
    column = column.fill_nan(None)
    wrong = ((column != column.floor()) | (column.abs() >= 2**53)).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise DataError(
            f"Column {column.name!r} of {file} has type {column.dtype} and row {row + 1:,} holds {column[row]}: ids "
            "must be text or whole numbers, so store them as such."
        )
    return column.cast(pl.Int64)


def _as_text(column: pl.Series, file: str) -> pl.Series:
    kind = column.dtype
    whole = kind.is_integer() or (isinstance(kind, pl.Decimal) and kind.scale == 0)
    if whole or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Binary):
        try:
            return column.cast(pl.String)
        except pl.exceptions.PolarsError:  # bytes that are no UTF-8
            pass
    raise DataError(
        f"Column {column.name!r} of {file} has type {kind}: ids must be text or whole numbers, so store it as such."
    )


def _most_have(ids: pl.Series, sign: str) -> bool:
    return bool(ids.str.contains(sign, literal=True).sum() * 2 > len(ids))


def _all_floats(ids: pl.Series) -> bool:
    return ids.count() > 0 and bool(ids.str.contains(r"^\d+\.0$").fill_null(True).all())


def number(ids: pl.Series) -> tuple[np.ndarray, pl.Series]:
    """Return an index for each row (int64) and the distinct ids, both by first appearance."""
    distinct = ids.unique(maintain_order=True).alias("id")
    numbered = distinct.to_frame().with_row_index("index")
    rows = ids.alias("id").to_frame().join(numbered, on="id", how="left", maintain_order="left")
    return rows["index"].cast(pl.Int64).to_numpy(), distinct
