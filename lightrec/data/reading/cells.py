"""Conversion of a column of any type to text, also for types and values on which polars itself fails."""

from __future__ import annotations

from lightrec.data.reading.polars_import import pl

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""The years 1 to 9999, in days since 1970."""
TICKS = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many units of a datetime make a second."""


def as_text(column: pl.Series) -> pl.Series | None:
    """Return the cells as text, null where empty; None for a type without text (lists, objects, bytes).

    Dates are ISO 8601 in UTC; outside the calendar they are the plain stored number.
    """
    kind = column.dtype
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return _dates(column)
    if isinstance(kind, pl.Duration):
        return column.to_physical().cast(pl.String)
    if kind.is_nested() or kind == pl.Object:
        return None
    try:
        return column.cast(pl.String, strict=False) if kind != pl.Binary else column.cast(pl.String)
    except pl.exceptions.PolarsError:  # bytes that are no UTF-8
        return None


def is_text(column: pl.Series) -> bool:
    """Return whether the cells are strings, stored directly or as indices into a list of strings."""
    return column.dtype in (pl.String, pl.Categorical, pl.Enum)


def _dates(column: pl.Series) -> pl.Series:
    kind, ticks = column.dtype, column.to_physical().cast(pl.Int64)
    plain = kind if kind == pl.Date else pl.Datetime(kind.time_unit)  # type: ignore[attr-defined]
    per_day = 1 if kind == pl.Date else 86_400 * TICKS[kind.time_unit]  # type: ignore[attr-defined]
    known = (ticks // per_day).is_between(FIRST_DAY, LAST_DAY)
    inside = ticks.zip_with(known.fill_null(False), pl.Series([None], dtype=pl.Int64).new_from_index(0, len(ticks)))
    return (
        inside.cast(pl.Int32 if kind == pl.Date else pl.Int64)
        .cast(plain)
        .cast(pl.String)
        .zip_with(known.fill_null(False), ticks.cast(pl.String))
    )
