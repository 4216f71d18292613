"""Search for the rows in one object of JSON, in the places and shapes that programs use."""

from __future__ import annotations

from typing import Any

from lightrec.data.columns.usual_names import listed
from lightrec.data.separated.layout import USUAL, plain_name
from lightrec.errors import DataError

Record = dict[str, Any]
DEEPEST = 3
"""Depth of nested objects to which lists of rows are searched for."""


def find_records(whole: Record, file: str) -> tuple[list[Record] | None, str | None]:
    """Return the rows of an object that is a table or maps users to items, and a note; None if it is itself a row.

    Raises:
        DataError: if the object holds rows in an unknown form; the message says how to write them.
    """
    values = list(whole.values())
    if len(values) == 1 and _all(values[0], dict):
        return values[0], f"holds its rows in {next(iter(whole))!r}"
    if values and all(_all(value, dict) for value in values):
        events = [{"user": key} | event for key, value in whole.items() for event in value]
        return events, "maps each user to a list of events"
    names, table = whole.get("columns", []), whole.get("data", [])
    if _all(names, str) and _all(table, list) and all(len(row) == len(names) for row in table):
        return [dict(zip(names, row, strict=True)) for row in table], "holds names in 'columns' and rows in 'data'"
    inner = _inner_rows(whole)
    if len(inner) == 1 and "." in inner[0][0]:
        return inner[0][1], f"holds its rows in {inner[0][0]!r}"
    if values and all(isinstance(value, dict) for value in values):
        if all(_usual(value) > 1 and not any(map(_nested, value.values())) for value in values):
            return [{"key": key} | value for key, value in whole.items()], "maps keys to objects, each read as a row"
        raise DataError(
            f"{file} holds one object of objects ({listed(list(whole), 3)}): write one object a row, in "
            "pandas with to_json(orient='records', lines=True)."
        )
    if not values or not all(isinstance(value, list) for value in values):
        return None, None
    if any(isinstance(one, dict | list) for value in values for one in value):
        raise DataError(
            f"{file} maps names to nested lists ({listed(list(whole), 3)}): write one object an event, as in "
            '{"user": ..., "item": ..., "time": ...}.'
        )
    usual, equal = _usual(whole), len(set(map(len, values))) == 1
    if usual > 1 or (usual and equal):
        if not equal:
            lengths = listed([f"{key} {len(value)}" for key, value in whole.items()], 5)
            raise DataError(f"{file} holds columns of different lengths ({lengths}): give all of them as many values.")
        rows = [dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True)]
        return rows, "holds one list a column"
    return [{"user": key, "item": value} for key, value in whole.items()], "maps each user to a list of items"


def _inner_rows(whole: Record, before: str = "", depth: int = 1) -> list[tuple[str, list[Record]]]:
    """Find every list of objects in nested objects, by its dotted name."""
    found = []
    for name, value in whole.items():
        if _all(value, dict):
            found.append((before + name, value))
        elif isinstance(value, dict) and depth < DEEPEST:
            found += _inner_rows(value, f"{before}{name}.", depth + 1)
    return found


def _usual(record: Record) -> int:
    """Count the keys that are usual names of columns."""
    return sum(plain_name(key) in USUAL for key in record)


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, kind) for one in value)
