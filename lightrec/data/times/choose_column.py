"""The choice of the time column by a flag, its name or its values, with a note or an error where in doubt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from lightrec.data.columns.choice import require_named
from lightrec.data.columns.usual_names import (
    BASKETS,
    CLOCKS,
    ITEMS,
    KINDS,
    ORDER_NAMES,
    RATINGS,
    SESSIONS,
    TIME_WORDS,
    TIMES,
    TITLES,
    USERS,
    is_other_time,
    named,
    plain,
    words,
)
from lightrec.data.reading.cells import is_text
from lightrec.data.reading.polars_import import pl
from lightrec.data.times.errors import DAY_OR_MONTH_FIRST, is_missing
from lightrec.data.times.finest_column import find_finer
from lightrec.data.times.numbers import digits_form, units_by_size
from lightrec.data.times.texts import read_written
from lightrec.errors import DataError

if TYPE_CHECKING:
    from lightrec.data.reading.readers import Table

SAMPLE = 500
"""Number of values sampled to recognise what a column holds."""
CALENDAR_PARTS = {"year", "month", "day", "week", "hour"}
"""Words of columns that hold a part of a date: the year is often that of the item."""
NO_TIMES = ("id", "code", "number", "price", "amount", "hash")
"""Endings of the names of columns with large numbers that are not times."""
KNOWN = (*USERS, *SESSIONS, *ITEMS, *BASKETS, *TITLES, *KINDS, *RATINGS)
"""Names of columns that are not times."""
HOURS_AND_MINUTES = ("hourmin", "hourminute", "hhmm", "hhmmss")
"""Endings of the names of columns with times of day as digits."""
CLOCK = r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?$"
Kind = Literal["dates", "clock", "small", "other", "empty"]
"""Dates, times of day, small numbers, anything else, no values."""


@dataclasses.dataclass(frozen=True)
class TimeChoice:
    """The columns that hold the time of an event."""

    column: str | None
    """None if the order of the rows is the order of events."""
    clock: str | None = None
    """The column of the time of day, if ``column`` holds only dates."""
    doubtful: tuple[str, ...] = ()
    """Columns that may hold the time of day if ``column`` proves to hold only dates."""
    notes: tuple[str, ...] = ()
    """Sentences about the decisions made."""


def choose_time(table: Table, flag: str | None, taken: Sequence[str], order_only: bool) -> TimeChoice:
    """Choose the columns that hold the time of an event.

    A column with a usual name comes first, then one whose name has a word such as "date" and whose values are dates,
    then the only one whose values are dates. A column of days is replaced by one with the same days and the time
    of day.

    Args:
        table: the interactions.
        flag: the column that ``--time-column`` names.
        taken: columns with another role.
        order_only: use the order of the rows where no column is clearly the time.

    Raises:
        DataError: if columns look like times and none is clearly the event's; the message proposes the flags.
    """
    if flag is not None:
        return TimeChoice(require_named("time", flag, table.columns, table.file))
    columns = [column for column in table.columns if column not in taken]
    usual = named(TIMES, columns)
    likely = [column for column in columns if column not in usual and _looks_like_time(column)]
    if len(usual) == 1 and not likely and not plain(usual[0]).endswith(("time", "date")):
        return TimeChoice(usual[0])  # the usual case: no need to read values
    kinds, numeric = _look_at(table, [*usual, *likely])
    dated = [column for column in usual if kinds[column] == "dates"]
    told = [column for column in likely if kinds[column] == "dates"]
    parts = [column for column in numeric if CALENDAR_PARTS & set(words(column))]
    events = [column for column in told if not is_other_time(column) and column not in parts]
    if not dated and len(events) > 1:
        days = [column for column in events if find_finer(table, column, [one for one in events if one != column])]
        events = days[:1] if len(events) == len(days) + 1 else events  # the only one that is no day is found again
    if dated or len(events) == 1:
        return _of_dates(table, dated or events, told, kinds, columns)
    numbered = [column for column in usual if kinds[column] not in ("clock", "empty")]
    if numbered and not events:
        return TimeChoice(numbered[0], notes=_others(numbered[0], numbered[1:]))
    if order_only:
        return TimeChoice(None, notes=(f"The order of the rows of {table.file} is the order of events.",))
    if {"year", "month", "day"} <= {word for column in parts for word in words(column)}:
        raise _in_parts(table, parts)
    if len(told) > 1:
        raise _several(table, told)
    if told:
        raise _unclear(table, [column for column in likely if column in told or _may_order(column, kinds[column])])
    return _by_values(table, columns, kinds)


def _of_dates(
    table: Table, events: Sequence[str], told: Sequence[str], kinds: dict[str, Kind], columns: Sequence[str]
) -> TimeChoice:
    """Choose the first of ``events``, or a finer column that agrees with it; note the other columns of dates."""
    day = events[0]
    other_times = [column for column in told if column not in events]
    rest = [column for column in columns if column != day and column not in (*told, *named(KNOWN, columns))]
    finer = find_finer(
        table, day, [column for column in (*events[1:], *told, *rest) if column != day and not is_other_time(column)]
    )
    others = [column for column in (*events[1:], *other_times) if column != finer]
    if finer is None:
        return _with_clock(day, kinds, others)
    note = f"The time is taken from {finer!r}, which is finer than {day!r} and agrees with it (another: --time-column)."
    return TimeChoice(finer, notes=(note, *_others(finer, others)))


def _look_at(table: Table, columns: Sequence[str]) -> tuple[dict[str, Kind], list[str]]:
    """Return what each column holds, and which columns hold numbers."""
    kinds: dict[str, Kind] = {}
    numeric = []
    for column in columns:
        values = table.read([column])[column]
        kinds[column] = kind_of_values(values)
        if _numeric(values):
            numeric.append(column)
    return kinds, numeric


def _by_values(table: Table, columns: Sequence[str], kinds: dict[str, Kind]) -> TimeChoice:
    """Choose the only column whose values are dates, if no other column may hold the order of the events."""
    rest = [column for column in columns if column not in kinds and column not in named(KNOWN, columns)]
    values = {column: table.read([column])[column] for column in rest}
    told = {column: kind_of_values(values[column]) for column in rest}
    dated = [column for column in rest if told[column] == "dates" and not plain(column).endswith(NO_TIMES)]
    written = [column for column in dated if not _numeric(values[column])]
    if len(dated) == 1 and written:
        note = f"Column {dated[0]!r} holds dates, so it is taken as the time (another: --time-column)."
        return TimeChoice(dated[0], notes=(note,))
    numbered = [column for column in named(ORDER_NAMES, rest) if told[column] == "small"]
    unclear = [
        *dated,
        *(column for column in numbered if not _counts_rows(values[column])),
        *(column for column, kind in kinds.items() if _may_order(column, kind)),
    ]
    if unclear:
        raise _unclear(table, unclear)
    note = f"{table.file} has no column with times, so the order of its rows is the order of events (order-only)."
    return TimeChoice(None, notes=(note,))


def _counts_rows(column: pl.Series) -> bool:
    """Return whether numbers increase from row to row, so that they have the order of the rows."""
    return bool((column.cast(pl.Float64, strict=False).diff().drop_nulls() > 0).all())


def _may_order(column: str, kind: Kind) -> bool:
    """Return whether a column named like a time may order the events: not empty, no other time or duration."""
    return kind != "empty" and not is_other_time(column)


def _looks_like_time(column: str) -> bool:
    name = plain(column)
    return (
        bool(TIME_WORDS & set(words(column)))
        or name in CLOCKS
        or name.endswith(("date", "time", "timestamp", *HOURS_AND_MINUTES))
    )


def _with_clock(column: str, kinds: dict[str, Kind], others: Sequence[str]) -> TimeChoice:
    """Return the choice of ``column``, with the column of the time of day if there is one."""
    clocks = [name for name, kind in kinds.items() if kind == "clock" or (kind == "small" and plain(name) in CLOCKS)]
    clocks = [name for name in clocks if not is_other_time(name)]
    clocks = [name for name in clocks if kinds[name] == "clock"] or clocks
    doubtful = [
        name
        for name, kind in kinds.items()
        if name in clocks
        or (kind == "small" and plain(name).endswith(("time", "clock", "timestamp", *HOURS_AND_MINUTES)))
    ]
    doubtful = [name for name in doubtful if not is_other_time(name) and name != column]
    clock = clocks[0] if len(clocks) == 1 else None
    return TimeChoice(column, clock, () if clock else tuple(doubtful), _others(column, others))


def _others(column: str, others: Sequence[str]) -> tuple[str, ...]:
    if not others:
        return ()
    rest = " or ".join(map(repr, others))
    return (f"The time is taken from {column!r}, not from {rest} (choose with --time-column).",)


def _several(table: Table, columns: Sequence[str]) -> DataError:
    return DataError(
        f"{table.file} has several columns that look like times ({', '.join(columns)}): choose the event's with "
        f"--time-column, or give --order-only if the order of the rows is the order of events."
    )


def _in_parts(table: Table, columns: Sequence[str]) -> DataError:
    return DataError(
        f"{table.file} has the parts of its dates in several columns ({', '.join(columns)}): write them into one, such "
        "as 2024-05-01 13:00, name one that tells the order with --time-column, or "
        "give --order-only if the order of the rows is the order of events."
    )


def _unclear(table: Table, columns: Sequence[str]) -> DataError:
    proposals = " or ".join(f"--time-column {column!r}" for column in columns[:3])
    return DataError(
        f"{table.file} has no column recognised as the time, but {', '.join(columns[:5])} may be it: say so with "
        f"{proposals}, or give --order-only if the order of the rows is the order of events."
    )


def kind_of_values(column: pl.Series) -> Kind:
    """Return the kind of most values of a column, from an evenly spaced sample."""
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return "dates"
    if column.dtype == pl.Time:
        return "clock"
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Enum)):
        return "empty" if column.dtype == pl.Null else "other"
    known = column.drop_nulls()
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        known = known.cast(pl.String).str.strip_chars()
    sample = known.gather(np.unique(np.linspace(0, len(known) - 1, SAMPLE).astype(int))) if len(known) else known
    sample = sample.filter(pl.Series([not is_missing(value) for value in sample], dtype=pl.Boolean))
    if not len(sample):
        return "empty"
    if _numeric(sample):
        return _kind_of_numbers(sample)
    if sample.str.contains(CLOCK).sum() * 2 > len(sample):
        return "clock"
    written = read_written(sample)["seconds"].is_not_null()
    figures = pl.Series([DAY_OR_MONTH_FIRST.match(value) is not None for value in sample], dtype=pl.Boolean)
    return "dates" if (written | figures).sum() * 2 > len(sample) else "other"


def _numeric(column: pl.Series) -> bool:
    if column.dtype.is_numeric() or not is_text(column):
        return column.dtype.is_numeric()
    return bool(column.cast(pl.String).cast(pl.Float64, strict=False).count() * 2 > column.count())


def _kind_of_numbers(sample: pl.Series) -> Kind:
    numbers = sample.cast(pl.Float64, strict=False).drop_nulls()
    whole = numbers.cast(pl.Int64, strict=False).drop_nulls()
    if digits_form(whole) or (units_by_size(numbers.to_numpy()) >= 0).mean() > 0.5:
        return "dates"
    return "small" if numbers.abs().max() < 1e8 else "other"  # type: ignore[operator]
