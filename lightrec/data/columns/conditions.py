"""Conditions on the rows to read: ``event=purchase``, ``rating>=4``, ``timestamp!=``."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from lightrec.data.columns.ids import NO_ID
from lightrec.data.reading.cells import as_text
from lightrec.data.reading.polars_import import pl
from lightrec.data.times.convert import Times, parse_times
from lightrec.errors import ConfigError, DataError

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
CONDITION = re.compile(r"(!=|>=|<=|==|=|>|<)")
MISSING = ("", *NO_ID)


@dataclasses.dataclass(frozen=True)
class Condition:
    """One condition on one column."""

    text: str
    """As the user wrote it."""
    column: str
    comparison: str
    """One of =, !=, <, <=, >, >=."""
    value: str
    """Without spaces around it; ``|`` separates several for = and !=; empty stands for missing values."""


def parse_condition(text: str, columns: Sequence[str], file: str) -> Condition:
    """Read ``column<comparison>value``.

    Raises:
        ConfigError: if ``text`` has no comparison.
        DataError: if the file has no such column.
    """
    found = list(CONDITION.finditer(text))
    if not found:
        raise ConfigError(f"--where {text!r} is no condition: write one such as event=purchase, rating>=4 or time!=.")
    parts = [(text[: one.start()].strip(), one[0].replace("==", "="), text[one.end() :].strip()) for one in found]
    fitting = [part for part in parts if part[0] in columns]  # a column name may contain a comparison sign
    column, comparison, value = (fitting or parts)[0]
    if column not in columns:
        raise DataError(f"{file} has no column {column!r}, which --where names (its columns: {', '.join(columns)}).")
    if comparison in COMPARISONS and not value:
        raise ConfigError(f"--where {text!r} names no value to compare with: write one such as {column}{comparison}4.")
    return Condition(text, column, comparison, value)


def rows_that_hold(condition: Condition, values: pl.Series, file: str) -> pl.Series:
    """Return whether ``condition`` holds for each value (Boolean); a missing value only equals "missing".

    Numbers are compared as numbers, datetimes as times, everything else as text.

    Raises:
        DataError: if it holds for no row, naming the values present, or numbers are compared with other text.
    """
    text = as_text(values)
    if text is None:
        raise DataError(f"Column {values.name!r} of {file} holds {values.dtype}, which --where cannot compare.")
    text = text.str.strip_chars()
    missing = text.fill_null("").is_in(MISSING)
    if condition.comparison in COMPARISONS:
        holds = _compare(condition, values, text, missing, file)
    else:
        holds = _among(condition, values, text, missing)
        holds = holds if condition.comparison == "=" else ~holds
    if not holds.any():
        raise DataError(f"No row of {file} has {condition.text}: {_told(values.name, text.filter(~missing))}.")
    return holds


def _among(condition: Condition, values: pl.Series, text: pl.Series, missing: pl.Series) -> pl.Series:
    """Return whether each value is one of those in the condition."""
    if not condition.value:
        return missing
    whole = (text == condition.value).any()
    named = [condition.value] if whole else [part.strip() for part in condition.value.split("|")]
    if values.dtype == pl.Boolean:
        named = [name.lower() for name in named]
    numbers = _as_numbers(text.filter(~missing), named)
    if numbers is not None:
        wanted = [float(name) for name in named]
        return (text.cast(pl.Float64, strict=False).is_in(wanted)).fill_null(False) & ~missing
    return text.is_in(named).fill_null(False)


def _as_numbers(known: pl.Series, named: Sequence[str]) -> pl.Series | None:
    """Return ``known`` if it and ``named`` hold only numbers that floats represent exactly as written; else None."""
    everything = pl.concat([known.cast(pl.String), pl.Series(named, dtype=pl.String)])
    plain = r"^[+-]?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d+)?$"
    return known if everything.str.contains(plain).all() else None


def _compare(condition: Condition, values: pl.Series, text: pl.Series, missing: pl.Series, file: str) -> pl.Series:
    compare = COMPARISONS[condition.comparison]
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        bound = _bound(condition)
        times = parse_times(values.fill_null(strategy="zero"), file)
        return pl.Series(compare(times.seconds, bound.seconds[0])) & ~missing
    number = _number(condition.value)
    numbers = text.cast(pl.Float64, strict=False)
    odd = numbers.is_null() & ~missing
    if number is None and not odd.any():
        raise DataError(
            f"Column {values.name!r} of {file} holds numbers, --where {condition.text!r} compares it with "
            f"{condition.value!r}: name a number."
        )
    if number is not None and odd.any():
        row = int(odd.arg_true()[0])
        raise DataError(
            f"Row {row + 1:,} of {file} has {text[row]!r} in column {values.name!r}, which --where {condition.text!r} "
            f"compares with a number ({int(odd.sum()):,} such rows): mend them, or choose by = or !=."
        )
    left, right = (text, condition.value) if number is None else (numbers, number)
    return compare(left, right).fill_null(False) & ~missing


def _bound(condition: Condition) -> Times:
    try:
        return parse_times(pl.Series([condition.value]), "")
    except DataError:
        raise DataError(
            f"--where {condition.text!r} compares times with {condition.value!r}, which is none: write one such as "
            "2024-05-01 or 2024-05-01T12:30:00Z."
        ) from None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _told(name: str, known: pl.Series) -> str:
    """List the values of a column for a message, most frequent first."""
    counts = known.value_counts(sort=True).rows()
    told = ", ".join(f"{str(value)[:30]} ({count:,})" for value, count in counts[:6])
    more = f" and {len(counts) - 6:,} more" if len(counts) > 6 else ""
    return f"column {name!r} holds {told}{more}" if counts else f"column {name!r} holds nothing"
