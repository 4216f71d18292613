"""Conversion of logs with lists in their cells (one row per user or session) to one row per event."""

from __future__ import annotations

import ast
import contextlib
import json
from typing import TYPE_CHECKING

from lightrec.data.reading.polars_import import pl
from lightrec.errors import DataError

if TYPE_CHECKING:
    from lightrec.data.reading.readers import Table

LIST_NAMES = ("_list", "_seq", "_sequence", "_history")
"""Endings of the names of columns whose cells hold ids with spaces between them, as RecBole writes them."""
LONGEST_LIST = 1 << 20
"""Characters of a list in a cell of text that are read; a longer one is refused."""


def one_event_a_row(frame: pl.DataFrame, item: str, table: Table) -> pl.DataFrame:
    """Give every element of the lists in the column ``item`` a row of its own, with the values of its row.

    Further columns that hold lists must have as many elements, in the same order. A note on what was done is added to
    ``table.notes``. A frame whose ``item`` holds no lists is returned unchanged.

    Raises:
        DataError: naming the first row (counted from 1) whose lists differ in length or are nested.
    """
    items = as_lists(frame[item], table.file)
    if items is None:
        for column in frame:
            _refuse_nested_text(column, table.file)
        return frame
    others = {name: as_lists(frame[name], table.file) for name in frame.columns if name != item}
    lists = {item: items} | {name: column for name, column in others.items() if column is not None}
    lengths = items.list.len().fill_null(0)
    for name, column in lists.items():
        _require_scalars(column, table.file)
        different = (column.list.len().fill_null(0) != lengths).arg_true()
        if len(different):
            row = different[0]
            raise DataError(
                f"Row {row + 1:,} of {table.file} has {lengths[row]:,} elements in {item!r} but "
                f"{column.list.len().fill_null(0)[row]:,} in {name!r}: both lists must have as many."
            )
    empty = int((lengths == 0).sum())
    note = f"{table.file} has lists in {', '.join(map(repr, lists))}, each element of which was read as a row"
    table.notes.append(f"{note}{f'; {empty:,} empty lists give none' if empty else ''}.")
    exploded = frame.with_columns(*lists.values()).filter(lengths > 0).explode(*lists)
    if exploded.is_empty():
        raise DataError(f"{table.file} has no events: all lists in {item!r} are empty.")
    return exploded


def as_lists(column: pl.Series, file: str) -> pl.Series | None:
    """Return the column as lists, or None if it holds single values.

    Lists in cells of text are written as JSON or Python do (``[1, 2]``, ``['a', 'b']``), or with spaces between the
    elements in a column whose name says so (``item_id_list``).
    """
    if isinstance(column.dtype, pl.Array):
        return column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        return column
    if column.dtype != pl.String or not column.count():
        return None
    text = column.str.strip_chars()
    given = text.drop_nulls()
    if (given.str.starts_with("[") & given.str.ends_with("]")).all():
        return _bracketed(text, file)
    if column.name.lower().endswith(LIST_NAMES):
        words = text.str.replace_all(r"[\s,]+", " ").str.strip_chars(" ")
        return words.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    return None


def _bracketed(text: pl.Series, file: str) -> pl.Series:
    """Lists as they are printed: plain elements by polars, those with quotes one by one."""
    if text.str.contains(r"""["'{]|\[.*\[""").any():
        return pl.Series(text.name, [_literal(cell, row, text.name, file) for row, cell in enumerate(text, start=1)])
    inner = text.str.strip_chars("[] ").str.replace_all(r"[\s,]+", " ")
    return inner.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))


def _refuse_nested_text(column: pl.Series, file: str) -> None:
    """Refuse an object or a list as text in a column of single values, where some rows hold one and others do not."""
    if column.dtype != pl.String:
        return
    suspects = column.str.contains(r"^\s*(\{.*\}|\[.*\])\s*$").fill_null(False).arg_true()
    for row in suspects.head(100):
        if isinstance(_evaluate(column[row]), list | dict):
            raise DataError(
                f"Row {row + 1:,} of {file} has a list or an object in the column {column.name!r} "
                f"({column[row][:60]}), where others have single values: store it in one way, one event a row."
            )


def _evaluate(text: str) -> object:
    """What a text says as JSON or as a Python literal, None if neither; no code runs, and the input is bounded."""
    if len(text) > LONGEST_LIST:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ast.literal_eval(text.strip())
    return None


def _literal(cell: str | None, row: int, name: str, file: str) -> list[str | None] | None:
    """A list of text and numbers."""
    if cell is None:
        return None
    values = _evaluate(cell)
    if not isinstance(values, list):
        raise DataError(f"Row {row:,} of {file} has no readable list in the column {name!r}: {cell[:60]!r}.")
    if any(isinstance(value, list | dict | tuple | set) for value in values):
        raise _nested(row, name, file)
    return [None if value is None else str(value) for value in values]


def _require_scalars(column: pl.Series, file: str) -> None:
    inner = column.dtype.inner  # type: ignore[attr-defined]
    if isinstance(inner, pl.List | pl.Struct | pl.Array):
        row = int((column.list.len().fill_null(0) > 0).arg_true()[0]) + 1
        raise _nested(row, column.name, file)


def _nested(row: int, name: str, file: str) -> DataError:
    return DataError(
        f"Row {row:,} of {file} has lists or objects within the list in the column {name!r}: store each element as "
        "text or a number."
    )
