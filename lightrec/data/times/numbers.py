"""Times as numbers: seconds, milliseconds, ... since 1970 by their size, dates as digits, and positions."""

from __future__ import annotations

import numpy as np

from lightrec.data.reading.polars_import import pl
from lightrec.data.times.texts import DIGITS, read_written

UNITS: dict[str, int] = {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}
"""How many of a unit make a second, coarsest first."""

PLAUSIBLE = (1e8, 4.1e9)
"""Seconds of the years 1973 to 2099: the same figures in two units never fall into the windows of both."""

DIGIT_FORMS = {4: "YYYY", 6: "YYYYMM", 8: "YYYYMMDD", 10: "YYYYMMDDHH", 12: "YYYYMMDDHHMM", 14: "YYYYMMDDHHMMSS"}
DIGIT_FORMS |= {17: "YYYYMMDDHHMMSS and milliseconds"}
FIRST_YEAR, LAST_YEAR = 1900, 2100


def units_by_size(numbers: np.ndarray) -> np.ndarray:
    """Return for each number the index in :data:`UNITS` of the unit in which it is a date of 1973 to 2099, or -1."""
    size = np.abs(numbers.astype(np.float64))
    found = np.full(len(numbers), -1)
    for place, per_second in enumerate(UNITS.values()):
        found[(size >= PLAUSIBLE[0] * per_second) & (size <= PLAUSIBLE[1] * per_second)] = place
    return found


def unit_of(numbers: np.ndarray) -> str | None:
    """Return the unit in which most numbers are plausible; if none is, the unit of the median; None if small."""
    counts = np.bincount(units_by_size(numbers) + 1, minlength=len(UNITS) + 1)[1:]
    if counts.any():
        return list(UNITS)[int(counts.argmax())]
    middle = float(np.median(np.abs(numbers.astype(np.float64)))) if len(numbers) else 0.0
    fitting = [unit for unit, per_second in UNITS.items() if middle >= PLAUSIBLE[0] * per_second]
    return fitting[-1] if fitting else None


def digits_form(numbers: pl.Series) -> str | None:
    """Return the form of :data:`DIGIT_FORMS` in which more than half of the numbers are dates, or None."""
    if not numbers.dtype.is_integer() or not len(numbers):
        return None
    length = len(str(abs(int(numbers.median() or 0))))  # type: ignore[arg-type]
    if length not in DIGIT_FORMS:
        return None
    years = numbers // 10 ** (length - 4)
    in_range = years.is_between(FIRST_YEAR, LAST_YEAR)
    if in_range.sum() * 2 <= len(numbers):
        return None
    read = read_digits(numbers, length)["seconds"]
    return DIGIT_FORMS[length] if read.count() * 2 > len(numbers) else None


def read_digits(numbers: pl.Series, length: int) -> pl.DataFrame:
    """Read numbers of ``length`` digits as dates ("seconds" and "nanos"); null where one is not a date."""
    text = numbers.cast(pl.String)
    whole = pl.when(pl.col("text").str.len_chars() == length).then(pl.col("text"))
    text = text.alias("text").to_frame().select(whole)["text"]
    read = read_written(text, (DIGITS,))
    years = numbers // 10 ** (length - 4)
    return read.with_columns(pl.when(years.is_between(FIRST_YEAR, LAST_YEAR)).then(pl.col("seconds")).alias("seconds"))
