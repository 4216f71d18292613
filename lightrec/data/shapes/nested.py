"""Conversion of nested objects: their fields become columns, and lists of events one row per event."""

from __future__ import annotations

from typing import Any

from lightrec.data.columns.usual_names import ITEMS
from lightrec.data.reading.options import ReadOptions
from lightrec.data.reading.polars_import import pl
from lightrec.data.separated.layout import plain_name


def with_fields(
    frame: pl.LazyFrame, names: list[str], options: ReadOptions
) -> tuple[pl.LazyFrame, list[str], list[str]]:
    """Convert nested values to columns.

    A list of objects in a log without a column of items becomes one row per object, and so does a list of items within
    these objects. The field ``id`` of an object in
    the column ``user`` becomes a further column ``user.id``.

    Returns:
        The frame, its column names and notes.
    """
    notes = []
    events = _event_list(frame.collect_schema(), names) if options.is_log else []
    while len(events) == 1:
        frame, note = _explode(frame, events[0])
        names = frame.collect_schema().names()
        notes.append(note)
        events = _event_list(frame.collect_schema(), names, telling=True)
    fields = {
        dotted: expression
        for name, kind in frame.collect_schema().items()
        for dotted, expression in _fields(name, kind, pl.col(name))
        if dotted not in names
    }
    if fields:
        frame = frame.with_columns(**fields)
    return frame, [*names, *fields], notes


def _event_list(schema: pl.Schema, names: list[str], telling: bool = False) -> list[str]:
    """The columns of lists of objects in a log whose items are nowhere else; only those with items if ``telling``."""
    if any(plain_name(name) in ITEMS and not isinstance(schema[name], pl.Struct) for name in names):
        return []
    lists = [name for name in names if _is_event_list(schema[name])]
    with_items = [
        name
        for name in lists
        if any(plain_name(field.name) in ITEMS for field in schema[name].inner.fields)  # type: ignore[attr-defined]
    ]
    return with_items if telling else with_items or lists


def _is_event_list(kind: Any) -> bool:
    return isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct) and bool(kind.inner.fields)


def _explode(frame: pl.LazyFrame, events: str) -> tuple[pl.LazyFrame, str]:
    lengths = frame.select(pl.col(events).list.len().fill_null(0).alias("length"))
    empty = lengths.select((pl.col("length") == 0).sum()).collect().item()
    outer = [name for name in frame.collect_schema().names() if name != events]
    fields = {field.name: field.name for field in frame.collect_schema()[events].inner.fields}  # type: ignore[attr-defined]
    renamed = {name: f"{events}.{name}" if name in outer else name for name in fields}
    frame = frame.filter(pl.col(events).list.len() > 0).explode(events)
    frame = frame.with_columns(*(pl.col(events).struct.field(name).alias(renamed[name]) for name in fields)).drop(
        events
    )
    note = f"has lists of objects in {events!r}, each object of which was read as a row"
    return frame, note + (f" ({empty:,} empty lists give none)" if empty else "")


def _fields(name: str, kind: Any, value: pl.Expr) -> list[tuple[str, pl.Expr]]:
    """Return every field of an object, at any depth, by its dotted name."""
    if not isinstance(kind, pl.Struct):
        return []
    found = []
    for field in kind.fields:
        dotted, inner = f"{name}.{field.name}", value.struct.field(field.name)
        found += _fields(dotted, field.dtype, inner) if isinstance(field.dtype, pl.Struct) else [(dotted, inner)]
    return found
