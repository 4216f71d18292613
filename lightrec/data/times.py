"""Timestamps as they come (numbers of several units, ISO 8601 text) to seconds since 1970."""

from __future__ import annotations

import dataclasses

import numpy as np

from lightrec.data.frames import pl
from lightrec.errors import DataError

UNITS: tuple[tuple[str, float, int], ...] = (
    ("nanoseconds", 1e17, 1_000_000_000),
    ("microseconds", 1e14, 1_000_000),
    ("milliseconds", 1e11, 1_000),
    ("seconds", 0, 1),
)
"""A column whose median is at least the second figure is in this unit: 1e11 seconds is the year 5138."""

ZONE = r"\s*(?:Z|([+-])(\d{2}):?(\d{2}))$"
FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
LARGEST = 2**62


@dataclasses.dataclass(frozen=True)
class Times:
    """One time for each row."""

    key: np.ndarray
    """What rows are sorted by: int64 or float64, at the full precision of the source."""
    seconds: np.ndarray
    """int64: seconds since 1970, rounded down."""
    unit: str
    """What the source held: "seconds", "milliseconds", ..., or "ISO 8601"."""


def parse_times(column: pl.Series, file: str) -> Times:
    """Read a column of numbers, of ISO 8601 text (a date, or date and time, with or without zone), or of datetimes.

    Text without a zone is UTC. The unit of numbers is told by their median.

    Raises:
        DataError: naming the first row (counted from 1, the header apart) without a readable time, and its value.
    """
    if column.dtype in (pl.Date, pl.Datetime):
        return _from_microseconds(column.cast(pl.Datetime("us")).dt.epoch("us"), column, file)
    if not column.dtype.is_numeric():
        if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
            raise DataError(f"Column {column.name!r} of {file} has type {column.dtype}, which holds no times.")
        column = column.cast(pl.String).str.strip_chars()
    numbers = _numbers(column)
    if not column.dtype.is_numeric() and numbers.count() * 2 <= column.count():
        return _from_microseconds(_iso_microseconds(column), column, file)
    usable = numbers.is_finite() & (numbers.abs() < LARGEST)
    _require_all(usable.fill_null(False), column, file)
    key = numbers.to_numpy()
    middle = float(np.median(np.abs(key))) if len(key) else 0.0
    unit, _, divisor = next(entry for entry in UNITS if middle >= entry[1])
    return Times(key=key, seconds=np.floor_divide(key, divisor).astype(np.int64), unit=unit)


def _numbers(column: pl.Series) -> pl.Series:
    """The column as int64 where every value is one, otherwise as float64; null where it is no number."""
    if not column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if whole.null_count() == column.null_count():
            return whole
    return column.cast(pl.Float64, strict=False)


def _iso_microseconds(text: pl.Series) -> pl.Series:
    """Microseconds since 1970 (int64), null where the text is no ISO 8601 time."""
    values = pl.col("text")
    local = values.str.replace(ZONE, "").str.replace(r"^(\d{4}-\d{2}-\d{2})[ t]", "${1}T")
    stamp = pl.coalesce([local.str.to_datetime(form, time_unit="us", strict=False) for form in FORMATS])
    sign = pl.when(values.str.extract(ZONE, 1) == "-").then(-1).otherwise(1)
    minutes = values.str.extract(ZONE, 2).cast(pl.Int64) * 60 + values.str.extract(ZONE, 3).cast(pl.Int64)
    shift = (sign * minutes).fill_null(0) * 60_000_000
    return pl.DataFrame({"text": text}).select((stamp.cast(pl.Int64) - shift).alias("micros"))["micros"]


def _from_microseconds(micros: pl.Series, column: pl.Series, file: str) -> Times:
    _require_all(micros.is_not_null(), column, file)
    key = micros.to_numpy()
    return Times(key=key, seconds=key // 1_000_000, unit="ISO 8601")


def _require_all(usable: pl.Series, column: pl.Series, file: str) -> None:
    if usable.all():
        return
    row = int((~usable).arg_true()[0])
    value = column[row]
    what = "no time" if value is None else f"the time {str(value)[:40]!r}, which cannot be read"
    raise DataError(
        f"Row {row + 1:,} of {file} has {what} (column {column.name!r}, {(~usable).sum():,} such rows): "
        "times are seconds or milliseconds since 1970, or ISO 8601 as 2024-05-01T12:30:00Z."
    )
