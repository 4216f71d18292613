"""Dates and times as text: ISO 8601 and similar forms, and months by their English names.

Day and month in figures with the year last ("12/11/2023") are not read: their order is ambiguous.
"""

from __future__ import annotations

from lightrec.data.reading.polars_import import pl

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
MONTH_NUMBERS = {name[:length]: str(place) for place, name in enumerate(MONTHS, 1) for length in (3, len(name))}
MONTH_NUMBERS["sept"] = "9"

_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
_MONTH = r"(?P<month_name>[a-z]{3,9})\.?"
_CLOCK = (
    r"(?P<hour>\d{1,2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?"
)
_OFFSET = r"(?:utc|gmt)?(?P<sign>[+\-−])(?P<zone_hours>\d{1,2})(?::?(?P<zone_minutes>\d{2}))?"
_ZONE = rf"(?:{_OFFSET}(?:\[[\w/+\-]+\]|\s*\(?(?:[a-z]+ ?)+\)?)?|z(?:\[utc\])?|utc|gmt|ut)"
_REST = rf"(?:(?:t|_|,?\s+(?:at\s+)?){_CLOCK})?(?:\s*{_ZONE})?\.?$"

PATTERNS = (
    rf"(?i)^(?P<year>\d{{4}})(?:-|/|\.)(?P<month>\d{{1,2}})(?:-|/|\.)(?P<day>\d{{1,2}}){_REST}",
    rf"(?i)^(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_REST}",
    rf"(?i)^(?P<year>\d{{4}})-?w(?P<week>\d{{2}})(?:-?(?P<weekday>\d))?{_REST}",
    rf"(?i)^(?P<year>\d{{4}})-?(?P<day_of_year>\d{{3}}){_REST}",
    r"^(?P<year>\d{4})-(?P<month>\d{2})$",
    rf"(?i)^(?:posted:?\s+)?{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){_REST}",
    rf"(?i)^(?:posted:?\s+)?{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s\-/]+{_MONTH}[\s,\-/]+(?P<year>\d{{4}}){_REST}",
    rf"(?i)^{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})\s+{_CLOCK}(?:\s+{_ZONE})?\s+(?P<year>\d{{4}})$",
    r"^(?P<month>\d{2}) (?P<day>\d{1,2}), (?P<year>\d{4})$",  # Amazon's reviewTime
)
"""One regular expression for each way to write a date, most usual first."""

DIGITS = (
    r"^(?P<year>\d{4})(?P<month>\d{2})?(?P<day>\d{2})?"
    r"(?P<hour>\d{2})?(?P<minute>\d{2})?(?P<second>\d{2})?(?P<fraction>\d{3})?$"
)
"""A date, or date and time, as nothing but digits."""

GROUPS = (
    *("year", "month", "month_name", "day", "week", "weekday", "day_of_year"),
    *("hour", "minute", "second", "fraction", "half", "sign", "zone_hours", "zone_minutes"),
)
CHUNK = 500_000
"""Rows that are parsed together: their parts take much memory."""


def read_written(text: pl.Series, patterns: tuple[str, ...] = PATTERNS) -> pl.DataFrame:
    """Read times by the first of ``patterns`` that gives a valid date; without a zone they are UTC.

    Returns:
        "seconds" since 1970 and "nanos" beyond them (both Int64), null where the text is not a time.
    """
    parts = [_read_chunk(text.slice(start, CHUNK), patterns) for start in range(0, max(len(text), 1), CHUNK)]
    return pl.concat(parts)


def read_clock(text: pl.Series) -> pl.DataFrame:
    """Read times of day such as 13:45:10.5; like :func:`read_written`, with "seconds" since midnight."""
    clock = pl.col("text")
    day = pl.when(clock.str.contains(r"^\d{1,2}:\d{2}")).then(pl.format("1970-01-01 {}", clock))
    return read_written(text.alias("text").to_frame().select(day.alias("text"))["text"], PATTERNS[:1])


def _read_chunk(text: pl.Series, patterns: tuple[str, ...]) -> pl.DataFrame:
    found = pl.DataFrame({"seconds": pl.Series([None] * 0, dtype=pl.Int64), "nanos": pl.Series([], dtype=pl.Int64)})
    found = found.clear(len(text))
    for pattern in patterns:
        left = found["seconds"].is_null() & text.is_not_null()
        if not left.any():
            break
        rows = left.arg_true()
        read = _read_by(text.gather(rows), pattern)
        known = read["seconds"].is_not_null()
        found = found.with_columns(
            found[name].scatter(rows.filter(known), read[name].filter(known)) for name in ("seconds", "nanos")
        )
    return found


def _read_by(text: pl.Series, pattern: str) -> pl.DataFrame:
    parts = text.alias("text").to_frame().select(pl.col("text").str.extract_groups(pattern)).unnest("text")
    parts = parts.with_columns(pl.lit(None, pl.String).alias(name) for name in GROUPS if name not in parts.columns)
    numbers = {
        name: pl.col(name).cast(pl.Int64, strict=False)
        for name in ("hour", "minute", "second", "zone_hours", "zone_minutes")
    }
    clock, fits = _clock(**numbers)
    seconds = _days(parts.columns).cast(pl.Int64) * 86_400 + clock
    nanos = pl.col("fraction").str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64).fill_null(0)
    fits = fits & (pl.col("year") != "0000")  # no year of the calendar; null where the pattern does not match
    return parts.select(pl.when(fits).then(seconds).alias("seconds"), nanos.alias("nanos"))


def _days(columns: list[str]) -> pl.Expr:
    """Return days since 1970 by year, month and day, by week and weekday, or by the day of the year."""
    named = pl.col("month_name").str.to_lowercase().replace_strict(MONTH_NUMBERS, default=None, return_dtype=pl.String)
    month = pl.when(pl.col("month_name").is_not_null()).then(named).otherwise(pl.col("month").fill_null("1"))
    calendar = pl.concat_str(
        [pl.col("year"), month.str.zfill(2), pl.col("day").fill_null("1").str.zfill(2)], separator="-"
    ).str.to_date("%Y-%m-%d", strict=False)
    week = pl.concat_str([pl.col("year"), pl.col("week"), pl.col("weekday").fill_null("1")], separator="-")
    ordinal = pl.concat_str([pl.col("year"), pl.col("day_of_year")], separator="-")
    return (
        pl.when(pl.col("week").is_not_null())
        .then(week.str.to_date("%G-%V-%u", strict=False))
        .when(pl.col("day_of_year").is_not_null())
        .then(ordinal.str.to_date("%Y-%j", strict=False))
        .otherwise(calendar)
        .cast(pl.Int32)
    )


def _clock(
    hour: pl.Expr, minute: pl.Expr, second: pl.Expr, zone_hours: pl.Expr, zone_minutes: pl.Expr
) -> tuple[pl.Expr, pl.Expr]:
    """Return seconds since midnight UTC, and whether every figure is valid (24:00 and a leap second are)."""
    half, sign = pl.col("half").str.to_lowercase(), pl.col("sign")
    minute, second, offset = minute.fill_null(0), second.fill_null(0), zone_minutes.fill_null(0)
    by_half = hour % 12 + pl.when(half == "p").then(12).otherwise(0)
    shift = pl.when(sign == "+").then(1).otherwise(-1) * (zone_hours * 60 + offset) * 60
    seconds = pl.when(half.is_null()).then(hour).otherwise(by_half).fill_null(0) * 3600 + minute * 60 + second
    hours_fit = pl.when(half.is_null()).then((hour < 24) | ((hour == 24) & (minute == 0) & (second == 0)))
    fits = (
        hours_fit.otherwise(hour.is_between(1, 12)).fill_null(True)
        & (minute < 60)
        & (second <= 60)
        & (zone_hours.fill_null(0) <= 15)
        & (offset < 60)
    )
    return seconds - shift.fill_null(0), fits
