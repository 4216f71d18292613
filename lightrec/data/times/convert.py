"""Conversion of timestamps (numbers in several units, dates as text, typed columns) to seconds since 1970."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np

from lightrec.data.columns.usual_names import CLOCKS, plain
from lightrec.data.reading.cells import as_text
from lightrec.data.reading.polars_import import pl
from lightrec.data.times.errors import MISSING, TimeColumn, mend_missing, mend_text
from lightrec.data.times.named_format import read_by_format
from lightrec.data.times.numbers import DIGIT_FORMS, UNITS, digits_form, read_digits, unit_of, units_by_size
from lightrec.data.times.texts import read_clock, read_written
from lightrec.errors import DataError

LARGEST = 2**62
ZONED = r"(?i)\d{2}\s*(?:z|utc?|gmt)|:\d{2}\S*\s*[+\-−]\d"
"""What a time with a zone contains."""
EARLIEST = 631_152_000
"""Seconds at the start of 1990: logs are hardly ever older."""
DAY = 86_400
POSITIONS = "positions"
TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum, pl.Null)


@dataclasses.dataclass(frozen=True)
class Times:
    """One time for each row."""

    key: np.ndarray
    """The key that rows are sorted by: int64 or float64, at the full precision of the source."""
    seconds: np.ndarray
    """int64: seconds since 1970, rounded down."""
    unit: str
    """What the source held: "seconds", "milliseconds", ..., "ISO 8601", "YYYYMMDD", "positions" or a format."""
    order_only: bool = False
    """Whether the numbers are too small for dates, so that only their order is meaningful."""
    notes: tuple[str, ...] = ()
    """Sentences about what is odd."""


def parse_times(column: pl.Series, file: str, time_format: str | None = None, rows: np.ndarray | None = None) -> Times:
    """Read a column of numbers, of dates as text, or of datetimes.

    Text without a zone is UTC. Numbers are in the unit that makes them dates of 1973 to 2099; whole numbers such as
    20240501 are dates as digits. Numbers below 1e8 are positions, unless ``time_format`` names their unit.

    Args:
        column: the times.
        file: the file's name, for messages.
        time_format: a unit ("seconds", "milliseconds", "microseconds", "nanoseconds", "days"), "positions", or the
            format of the text, such as ``%d/%m/%Y %H:%M``.
        rows: int64 ``[len(column)]``: each value's row in the file, from 0; by default they are 0, 1, 2, ...

    Raises:
        DataError: naming the first row (counted from 1, the header apart) without a readable time, and its value.
        ConfigError: if ``time_format`` is no format.
    """
    source = TimeColumn(column, file, rows)
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return _noting_odd_dates(_from_typed(source), source)
    if column.dtype.is_numeric():
        values = column
    elif column.dtype in TEXT_TYPES:
        values = _without_missing(column.cast(pl.String).str.strip_chars())
    else:
        raise DataError(f"Column {column.name!r} of {file} has type {column.dtype}, which holds no times.")
    numbers = _numbers(values)
    if time_format in UNITS or time_format in ("days", POSITIONS):
        _require_numbers(numbers, source, LARGEST // DAY if time_format == "days" else LARGEST)
        return _noting_odd_dates(_by_unit(numbers.to_numpy(), str(time_format)), source)
    if time_format is not None:
        return _noting_odd_dates(_from_format(values, source, time_format), source)
    if not values.dtype.is_numeric() and numbers.count() * 2 <= values.count():
        return _noting_odd_dates(_from_text(values, source), source)
    return _noting_odd_dates(_from_numbers(numbers, source), source)


def with_clock(dates: Times, clock: pl.Series, file: str, rows: np.ndarray | None = None) -> Times:
    """Add times of day to dates: text such as 13:45, the type Time of Parquet, or numbers (see ``CLOCKS``).

    Raises:
        DataError: naming the first row without a readable time of day.
    """
    source = TimeColumn(clock, file, rows)
    per_unit = CLOCKS.get(plain(clock.name))
    text = as_text(clock)
    if text is None or isinstance(clock.dtype, pl.Duration):
        raise DataError(f"Column {clock.name!r} of {file} has type {clock.dtype}, which holds no times of day.")
    numbers = text.cast(pl.Float64, strict=False)
    if per_unit is not None and not numbers.has_nulls():
        nanos = np.round(numbers.to_numpy() * per_unit * 1e9).astype(np.int64)
    else:
        read = read_clock(text.str.strip_chars())
        source.refuse(
            read["seconds"].is_null(),
            "a time of day is written 13:45 or 13:45:10, or name another "
            f"--time-column than the date beside {clock.name!r}",
        )
        nanos = read["seconds"].to_numpy() * 1_000_000_000 + read["nanos"].to_numpy()
    key = dates.seconds * 1_000_000 + nanos // 1_000
    note = f"The times are the dates and the times of day in column {clock.name!r} together."
    return dataclasses.replace(dates, key=key, seconds=key // 1_000_000, notes=(*dates.notes, note))


def _from_typed(source: TimeColumn) -> Times:
    """Convert dates and datetimes of Parquet: their physical numbers are UTC in any zone."""
    column = source.values
    source.refuse(column.is_null(), mend_missing(column.name))
    ticks = column.to_physical().cast(pl.Int64).to_numpy()
    if column.dtype == pl.Date:
        return Times(key=ticks, seconds=ticks * DAY, unit="dates")
    per_second = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.dtype.time_unit]  # type: ignore[attr-defined]
    return Times(key=ticks, seconds=ticks // per_second, unit="datetimes")


def _from_text(text: pl.Series, source: TimeColumn) -> Times:
    read = read_written(text)
    unread = read["seconds"].is_null()
    if unread.any():
        source.refuse(unread, mend_text(source.values.name, text, unread))
    return dataclasses.replace(_joined(read, "ISO 8601"), notes=_zones(text, source))


def _without_missing(text: pl.Series) -> pl.Series:
    """Replace every text that means "no time" by null."""
    known = ~text.str.to_lowercase().is_in(MISSING)
    return text.alias("text").to_frame().select(pl.when(known).then(pl.col("text")).alias(text.name))[text.name]


def _zones(text: pl.Series, source: TimeColumn) -> tuple[str, ...]:
    """Return a note if only some times of a column have a zone."""
    zoned = int(text.str.contains(ZONED).sum())
    if zoned in (0, len(text)):
        return ()
    return (f"{len(text) - zoned:,} times in column {source.values.name!r} have no zone and are read as UTC.",)


def _from_format(values: pl.Series, source: TimeColumn, form: str) -> Times:
    read = read_by_format(values, form)
    unread = read["seconds"].is_null()
    if unread.any():
        source.refuse(unread, f"--time-format {form!r} does not fit it")
    return _joined(read, form)


def _joined(read: pl.DataFrame, unit: str) -> Times:
    """Combine seconds and nanoseconds into one key: nanoseconds where they all fit into 64 bits, else microseconds."""
    seconds, nanos = read["seconds"].to_numpy(), read["nanos"].to_numpy()
    if np.abs(seconds).max(initial=0) < 9_000_000_000:
        return Times(key=seconds * 1_000_000_000 + nanos, seconds=seconds, unit=unit)
    return Times(key=seconds * 1_000_000 + nanos // 1_000, seconds=seconds, unit=unit)


def _numbers(values: pl.Series) -> pl.Series:
    """Return the values as int64 if all are whole, otherwise as float64; null where one is not a number."""
    if not values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        if whole.null_count() == values.null_count():
            return whole
    return values.cast(pl.Float64, strict=False)


def _require_numbers(numbers: pl.Series, source: TimeColumn, largest: int = LARGEST) -> None:
    unread = ~(numbers.is_finite() & (numbers.abs() < largest)).fill_null(False)
    if unread.any():
        source.refuse(unread, mend_text(source.values.name, source.values.cast(pl.String), unread))


def _from_numbers(numbers: pl.Series, source: TimeColumn) -> Times:
    _require_numbers(numbers, source)
    exact = (numbers == numbers.floor()) & (numbers.abs() < 2**53)
    if numbers.dtype.is_float() and bool(exact.all()):
        numbers = numbers.cast(pl.Int64)
    form = digits_form(numbers)
    if form is not None:
        length = next(length for length, name in DIGIT_FORMS.items() if name == form)
        read = read_digits(numbers, length)
        source.refuse(read["seconds"].is_null(), f"most times of the column are dates as {form}, this one is none")
        return _joined(read, form)
    values = numbers.to_numpy()
    unit = unit_of(values)
    if unit is None:
        return _positions(values, source)
    _refuse_mixed_units(values, unit, source)
    return _by_unit(values, unit)


def _refuse_mixed_units(values: np.ndarray, unit: str, source: TimeColumn) -> None:
    found = units_by_size(values)
    others = np.flatnonzero((found >= 0) & (found != list(UNITS).index(unit)))
    if not len(others):
        return
    place = int(others[0])
    usual = int(np.flatnonzero(found == list(UNITS).index(unit))[0])
    raise DataError(
        f"Row {source.row(place)} of {source.file} has the time {source.values[place]} in "
        f"{list(UNITS)[found[place]]}, row {source.row(usual)} has {source.values[usual]} in {unit} (column "
        f"{source.values.name!r}, {len(others):,} rows differ): bring them to one unit, or name it with --time-format "
        f"{unit}."
    )


def _by_unit(values: np.ndarray, unit: str) -> Times:
    if unit == POSITIONS:
        return Times(key=values, seconds=_whole(values), unit=unit, order_only=True)
    seconds = _whole(values * DAY) if unit == "days" else _whole(np.floor_divide(values, UNITS[unit]))
    return Times(key=values, seconds=seconds, unit=unit)


def _whole(values: np.ndarray) -> np.ndarray:
    return np.floor(values).astype(np.int64) if values.dtype.kind == "f" else values.astype(np.int64)


def _positions(values: np.ndarray, source: TimeColumn) -> Times:
    note = (
        f"The times in column {source.values.name!r} are small numbers ({values.min():g} to {values.max():g}), no "
        "dates: their order alone is kept (order-only). If they are times, say in which unit with --time-format "
        "(seconds, days, ...)."
    )
    return dataclasses.replace(_by_unit(values, POSITIONS), notes=(note,))


def _noting_odd_dates(times: Times, source: TimeColumn) -> Times:
    """Return ``times`` with a note on dates before 1990 or after the next year."""
    if times.order_only:
        return times
    latest = int(datetime(datetime.now(UTC).year + 2, 1, 1, tzinfo=UTC).timestamp())
    odd = np.flatnonzero((times.seconds < EARLIEST) | (times.seconds >= latest))
    if not len(odd):
        return times
    place = int(odd[0])
    note = (
        f"{len(odd):,} of {len(times.seconds):,} times in column {source.values.name!r} are before 1990 or after next "
        f"year (row {source.row(place)} is read as {as_date(int(times.seconds[place]))}): if they are misread, name "
        "their unit or form with --time-format; if they mean that there is no time, leave their rows out with --where."
    )
    return dataclasses.replace(times, notes=(*times.notes, note))


def as_date(seconds: int) -> str:
    """Return seconds since 1970 as ISO 8601, or as the plain number outside the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
