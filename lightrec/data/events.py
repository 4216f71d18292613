"""Interactions as numbers: the user, item and time of each chosen row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lightrec.data.columns.choice import ColumnFlags
from lightrec.data.columns.conditions import Condition, parse_condition, rows_that_hold
from lightrec.data.columns.ids import note_missing, number, read_ids
from lightrec.data.columns.roles import choose_roles
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.readers import Table
from lightrec.data.shapes.lists import one_event_a_row
from lightrec.data.times.choose_column import TimeChoice
from lightrec.data.times.convert import POSITIONS, Times, parse_times, with_clock
from lightrec.data.times.numbers import units_by_size
from lightrec.errors import DataError

ROW = "\0row"
"""Name of the column with each event's row in the file, from 0; no file has a column of that name."""


@dataclasses.dataclass(frozen=True)
class Events:
    """Interactions as numbers, one entry per event."""

    users: np.ndarray
    """int64 ``[events]``: indices into the user ids."""
    items: np.ndarray
    """int64 ``[events]``: indices into the item ids."""
    key: np.ndarray
    """int64 or float64 ``[events]``: the key that a user's events are sorted by."""
    seconds: np.ndarray
    """int64 ``[events]``: the times to be stored."""

    def __len__(self) -> int:
        return len(self.users)

    def take(self, chosen: np.ndarray) -> Events:
        """Return the events at the positions ``chosen`` (integers or a boolean mask)."""
        return Events(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class EventOptions:
    """How to read the events of a table."""

    flags: ColumnFlags
    where: Sequence[str] = ()
    """Conditions that all must hold for a row (see :mod:`lightrec.data.columns.conditions`)."""
    time_format: str | None = None
    """See :func:`~lightrec.data.times.convert.parse_times`."""
    order_only: bool = False
    """Use the order of the rows where no column is clearly the time."""
    keep_na_ids: bool = False
    """Whether texts such as "None" and "NA" are ids."""


@dataclasses.dataclass(frozen=True)
class Log:
    """The events of a table, and the decisions made in reading them."""

    events: Events
    """In the order of the file."""
    user_ids: pl.Series
    item_ids: pl.Series
    user: str
    """The column of the users."""
    item: str
    """The column of the items."""
    time: TimeChoice
    """The columns of the times."""
    times: Times
    conditions: dict[str, list[str]]
    """The conditions on each column that has any."""
    rows: int
    """Events in the file."""
    not_chosen: int
    """Events left out by the conditions."""
    without_id: int
    """Chosen events left out because they have no user or no item."""
    notes: list[str]
    """Sentences about decisions made and oddities found."""


def read_events(table: Table, options: EventOptions) -> Log:
    """Read all events of a table.

    Raises:
        DataError: for a column that is missing or unclear, and for values that cannot be read.
        ConfigError: for an invalid condition or format of times.
    """
    user, item, time = choose_roles(table, options.flags, options.order_only)
    conditions = [parse_condition(text, table.columns, table.file) for text in options.where]
    columns = [user.column, item.column, time.column, time.clock, *(each.column for each in conditions)]
    frame = table.read([column for column in columns if column is not None])
    rows = one_event_a_row(frame.with_row_index(ROW), item.column, table)
    chosen = _chosen(rows, conditions, table.file)
    users, items = (
        read_ids(chosen[column], table.file, keep=options.keep_na_ids) for column in (user.column, item.column)
    )
    notes = [*user.notes, *item.notes, *time.notes, *users.notes, *items.notes]
    known = users.values.is_not_null() & items.values.is_not_null()
    for what, ids in (("user", users), ("item", items)):
        missing = ids.values.is_null()
        if missing.any():
            notes.append(note_missing(chosen[ids.values.name].filter(missing), table.file, what))
    if not known.any():
        raise DataError(
            f"No row of {table.file} has both a user ({user.column!r}) and an item ({item.column!r}): "
            "name other columns with --user-column or --item-column."
        )
    kept = chosen.filter(known)
    times, time = _times(kept, time, table, options)
    user_places, user_ids = number(users.values.filter(known))
    item_places, item_ids = number(items.values.filter(known))
    return Log(
        events=Events(users=user_places, items=item_places, key=times.key, seconds=times.seconds),
        user_ids=user_ids,
        item_ids=item_ids,
        user=user.column,
        item=item.column,
        time=time,
        times=times,
        conditions={each.column: [one.text for one in conditions if one.column == each.column] for each in conditions},
        rows=len(rows),
        not_chosen=len(rows) - len(chosen),
        without_id=len(chosen) - len(kept),
        notes=[*notes, *times.notes, *_swapped(user_ids, user.column, times), *_swapped(item_ids, item.column, times)],
    )


def _chosen(rows: pl.DataFrame, conditions: Sequence[Condition], file: str) -> pl.DataFrame:
    """Return the rows for which every condition holds."""
    holds = np.ones(len(rows), dtype=bool)
    for condition in conditions:
        holds &= rows_that_hold(condition, rows[condition.column], file).to_numpy()
    if not holds.any():
        together = " and ".join(condition.text for condition in conditions)
        raise DataError(f"No row of {file} has {together}, though each holds for some: choose less with --where.")
    return rows.filter(pl.Series(holds)) if conditions else rows


def _times(frame: pl.DataFrame, choice: TimeChoice, table: Table, options: EventOptions) -> tuple[Times, TimeChoice]:
    """Return the times of the events, and the columns that were finally used for them."""
    if choice.column is None:
        places = np.arange(len(frame))
        return Times(key=places, seconds=places, unit="order of rows", order_only=True), choice
    rows = frame[ROW].to_numpy().astype(np.int64)
    times = parse_times(frame[choice.column], table.file, options.time_format, rows)
    if times.order_only or (times.seconds % 86_400 != 0).any():
        return times, dataclasses.replace(choice, clock=None)  # the dates tell the time of day themselves
    if choice.doubtful:
        doubtful = ", ".join(map(repr, choice.doubtful))
        raise DataError(
            f"Column {choice.column!r} of {table.file} holds dates alone and {doubtful} may hold times of day: give "
            f"--time-column {choice.column!r} to read the dates only, or write date and time in one column."
        )
    if choice.clock is None:
        return times, choice
    return with_clock(times, frame[choice.clock], table.file, rows), choice


def _swapped(ids: pl.Series, column: str, times: Times) -> list[str]:
    """Return a note if ids look like times and the times do not, since column names may then be swapped."""
    numbers = ids.cast(pl.Float64, strict=False)
    if times.unit != POSITIONS or len(ids) < 2 or numbers.has_nulls():
        return []
    values = numbers.to_numpy()
    if not np.isin(units_by_size(values), (0, 1)).all() or values.max() > 1.5 * values.min():
        return []
    return [
        f"The ids in column {column!r} look like times (such as {ids[0]}) and the times do not: check that every "
        "column has the right name."
    ]
