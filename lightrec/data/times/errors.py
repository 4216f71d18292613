"""Error messages for times that cannot be read: the row, the value and the remedy."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from lightrec.data.reading.polars_import import pl
from lightrec.data.times.named_format import read_by_format
from lightrec.errors import DataError

DAY_OR_MONTH_FIRST = re.compile(
    r"(?i)^\d{1,2}([/.\-])\d{1,2}\1(\d{4}|\d{2})(?P<clock>[ T]\d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d+)?)?)?"
    r"(?P<half>\s?[ap]m)?$"
)
"""A date in figures with the year last: whether day or month comes first is unknown."""
GROUPED = re.compile(r"\d{1,3}([,.' \u00a0\u202f]\d{3})+|\d+,\d+")
"""Numbers with a decimal comma, or with something between the thousands."""
NAMED_ZONE = re.compile(r"\d.*[\s\d\[(]([A-Za-z]+/[A-Za-z_/]+|[A-Z]{2,5})[\])]?$")


@dataclasses.dataclass(frozen=True)
class TimeColumn:
    """A column of times, with what error messages need."""

    values: pl.Series
    """As the file has them."""
    file: str
    rows: np.ndarray | None = None
    """int64: each value's row in the file, from 0; None if they are 0, 1, 2, ..."""

    def row(self, place: int) -> str:
        """Return the number of a row, from 1, for messages."""
        return f"{(place if self.rows is None else int(self.rows[place])) + 1:,}"

    def refuse(self, wrong: pl.Series, mend: str) -> None:
        """Raise :class:`DataError` for the first row that is ``wrong``, if there is one."""
        if not wrong.any():
            return
        place = int(wrong.arg_true()[0])
        value, name = self.values[place], self.values.name
        what = "no time" if is_missing(value) else f"the time {str(value)[:40]!r}, which cannot be read"
        alike = f"column {name!r}, {int(wrong.sum()):,} such rows"
        raise DataError(f"Row {self.row(place)} of {self.file} has {what} ({alike}): {mend}.")


def is_missing(value: object) -> bool:
    """Return whether a value means "no time": null, NaN, NaT, an empty text, ..."""
    return value is None or value != value or (isinstance(value, str) and value.strip().lower() in MISSING)


MISSING = ("", "na", "n/a", "nan", "nat", "none", "null", "\\n", "<na>", "0000-00-00", "0000-00-00 00:00:00")
"""Texts that mean "no time", in lower case."""


def mend_text(name: str, text: pl.Series, unread: pl.Series) -> str:
    """Return the remedy for the first unread text of a column."""
    value = text[int(unread.arg_true()[0])]
    if value is None or is_missing(value):
        return mend_missing(name)
    formats = _fitting_formats(text.filter(unread), value)
    if formats:
        return "whether the day or the month comes first is not known, so say it with " + " or ".join(
            f'--time-format "{each}"' for each in formats
        )
    if value.startswith("##"):
        return "the spreadsheet's column was too narrow for its values, so widen it and save the file again"
    if GROUPED.fullmatch(value):
        return "write the numbers with a point before the decimals and nothing between the thousands"
    if NAMED_ZONE.search(value):
        return "its zone is a name: write it as an offset such as +02:00, or as Z"
    return (
        "times are numbers since 1970 or dates such as 2024-05-01T12:30:00Z; another form is named with --time-format "
        '(such as "%d/%m/%Y %H:%M")'
    )


def the_format(values: pl.Series) -> str | None:
    """Return the one format with day or month first that reads every text of a column; None if none or both do."""
    if values.dtype != pl.String:
        return None
    texts = values.str.strip_chars()
    texts = texts.filter(pl.Series([not is_missing(value) for value in texts], dtype=pl.Boolean))
    formats = _fitting_formats(texts, texts[0]) if len(texts) else []
    return formats[0] if len(formats) == 1 else None


def mend_missing(name: str) -> str:
    """Return the remedy for rows without a time."""
    return f"fill in the times, or leave those rows out with --where {name + '!='!r}"


def _fitting_formats(texts: pl.Series, first: str) -> list[str]:
    """Return the formats with day or month first that read all ``texts``; both if neither does; [] for other text."""
    found = DAY_OR_MONTH_FIRST.match(first)
    if not found:
        return []
    year = "%Y" if len(found[2]) == 4 else "%y"
    clock = ""
    if found["clock"]:
        hours = "%I" if found["half"] else "%H"
        clock = f"{found['clock'][0]}{hours}:%M" + ":%S" * bool(found["seconds"]) + "%.f" * bool(found["fraction"])
        if found["half"]:
            clock += " %p" if found["half"][0].isspace() else "%p"
    formats = [found[1].join(order) + clock for order in (("%d", "%m", year), ("%m", "%d", year))]
    return [each for each in formats if not read_by_format(texts, each)["seconds"].has_nulls()] or formats
