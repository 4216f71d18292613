"""Separated text seen from its first lines: what separates the values, whether quotes enclose them, and the header."""

from __future__ import annotations

import collections
import contextlib
import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Iterator, Sequence

from lightrec.data.columns.usual_names import USUAL
from lightrec.errors import ConfigError

SAMPLE = 200
"""Number of lines examined."""
MOST_TITLES = 12
"""Lines among which a header below titles is looked for."""
SEPARATORS = ("\t", "\x01", "::", ",", ";", "|", " ")
"""Recognised by themselves; a space means a run of white space."""
SPOKEN = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Names for separators on the command line, where some are hard to type."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*")
SECONDS = re.compile(r"\d{9,19}(\.\d*)?")
"""Digits of a time since 1970."""
TYPED = re.compile(r"(.+):(token|float|token_seq|float_seq)")
"""A RecBole header names the type of each column: ``user_id:token``."""
MISSING = ("", "-", "?", "na", "n/a", "nan", "null", "none", "\\n")
"""Texts in place of a missing number, in lower case."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the lines of a text are split into values."""

    separator: str
    """One or more characters; a space means a run of white space."""
    quoted: bool = False
    """Double quotes enclose values, which may then hold the separator and line breaks."""

    @property
    def spoken(self) -> str:
        """The separator, for messages."""
        return {"\t": "tab", " ": "space"}.get(self.separator, repr(self.separator))


def parse_separator(named: str, flag: str) -> str:
    """Return the separator that a flag names.

    Raises:
        ConfigError: if it cannot separate values.
    """
    separator = SPOKEN.get(named.lower(), named)
    if not separator or any(character in separator for character in '"\r\n\0'):
        raise ConfigError(f"{flag} is {named!r}: give the characters between two values, such as , ; :: tab or space.")
    return " " if separator.isspace() and "\t" not in separator else separator


def recognise_layout(head: str, separator: str | None, quotes: bool, width: int = 0) -> Layout:
    """Return the layout of a text.

    Args:
        head: its first lines.
        separator: as given by the user, or None to recognise it.
        quotes: a double quote occurs anywhere in the text.
        width: how many values a row has, or 0 if that is not known.
    """
    if separator is None:
        separator = max(SEPARATORS, key=lambda one: _fitness(head, one, width))
    return Layout(separator, quotes and _encloses(head, separator))


def find_preamble(head: str) -> tuple[int, str | None]:
    """Count the lines before the table, and return the separator that one of them names.

    These are ``sep=;``, as spreadsheets write it; comments: lines that start with a hash or percent sign and a space,
    before others that do not; and titles: lines above a header of usual names that have fewer values than it.
    """
    lines = head.split("\n")
    named = re.fullmatch(r"sep=(.)\s*", lines[0])
    if named is not None:
        return 1, named[1]
    comments = sum(1 for _ in itertools.takewhile(lambda line: re.match(r"([#%]+(\s|$))|\s*$", line), lines))
    if comments in (0, len(lines)) or not any(line[:1] in "#%" for line in lines[:comments] if line.strip()):
        return _titles(lines), None
    return comments, None


def _titles(lines: Sequence[str]) -> int:
    """How many lines of titles are above the header, as reports have them."""
    values = [re.split(r"[,;|\t]", line.strip().strip('"')) for line in lines[:MOST_TITLES]]
    usual = [sum(plain_name(value) in USUAL for value in row) for row in values]
    header = next((place for place, count in enumerate(usual) if count > 1), 0)
    filled = [sum(bool(value.strip(' "')) for value in row) for row in values]
    titles = filled[:header]
    return header if any(titles) and all(count < min(filled[header], 3) for count in titles) else 0


def split_lines(head: str, layout: Layout, limit: int = SAMPLE) -> list[list[str]]:
    """Return the values of the first rows, without spaces around them; blank lines are left out."""
    lines = (line for line in head.split("\n") if line.strip())
    if layout.quoted:
        return _quoted_rows(head, layout.separator, limit)
    return [[value.strip() for value in split_line(line, layout.separator)] for line in itertools.islice(lines, limit)]


def split_line(line: str, separator: str) -> list[str]:
    """Return the values of one line without quotes."""
    return line.split() if separator == " " else line.rstrip("\r\n").split(separator)


def find_header(rows: Sequence[Sequence[str]]) -> bool | None:
    """Return whether the first row names the columns; None if it probably does.

    It does if names are of the usual ones, or if it holds words and all rows below numbers or dates alone. It does not
    if it holds numbers or dates itself, or values that occur again below. Words above columns of words, or above some
    columns of numbers, are probably names.
    """
    first, below = rows[0], rows[1:]
    columns = [[value for value in column if value] for column in itertools.zip_longest(*below, fillvalue="")]
    pairs = list(zip(first, columns, strict=False))
    usual = sum(plain_name(value) in USUAL for value in first)
    if all(TYPED.fullmatch(value) for value in first) or (usual > 1 and len(set(first)) == len(first)):
        return True
    if any(map(_measure, first)) or any(value and value in column for value, column in pairs):
        return False
    numeric = [value.lower() not in MISSING for value, column in pairs if column and all(map(_measure, column))]
    if usual:
        return True if any(numeric) else None
    if any(numeric):
        return True if len(numeric) == len(first) and all(numeric) else None
    return False if below and all(any(map(str.isdigit, value)) for row in rows for value in row) else None


def header_names(row: Sequence[str]) -> list[str]:
    """The names of a header, without the types that RecBole adds; a column without one is numbered."""
    typed = all(TYPED.fullmatch(value) for value in row)
    names = [value.rpartition(":")[0] if typed else value for value in row]
    return [name or f"column_{place}" for place, name in enumerate(names, start=1)]


def propose_names(rows: Sequence[Sequence[str]], items: bool) -> str:
    """Names for the columns of a file without a header, as ``--columns`` takes them, guessed by their values."""
    columns = list(itertools.zip_longest(*rows, fillvalue=""))
    names = [f"column_{place}" for place in range(1, len(columns) + 1)]
    if items:
        ordinary = ["item", "title", "genres"]
        return ",".join(ordinary[place] if place < 3 else name for place, name in enumerate(names))
    free = list(range(len(columns)))
    time = next((place for place in free if _all_match(DATE, columns[place])), None)
    if time is None:
        time = next((place for place in reversed(free) if _all_match(SECONDS, columns[place])), None)
    if time is not None:
        names[time] = "time"
        free.remove(time)
    rating = next((place for place in reversed(free[1:]) if len(free) > 2 and _are_ratings(columns[place])), None)
    if rating is not None:
        names[rating] = "rating"
        free.remove(rating)
    free = [place for place in free if not _are_numbered(columns[place])]
    ids = [place for place in free if not any(re.fullmatch(r"-?\d+\.\d+", value) for value in columns[place])]
    for place, role in zip(ids, ("user", "item"), strict=False):
        names[place] = role
    return ",".join(names)


@contextlib.contextmanager
def long_fields() -> Iterator[None]:
    """Let a quoted field be as long as it is: the csv module stops at 131,072 characters otherwise."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def plain_name(name: str) -> str:
    """A name without case, spaces, hyphens and underscores, as usual names are compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fitness(head: str, separator: str, expected: int) -> tuple[bool, bool, bool, bool, int, float]:
    """How well a separator splits the lines: rows of one width, the header's among them; then strength and width."""
    rows = split_lines(head, Layout(separator, '"' in head and _encloses(head, separator)))
    widths = collections.Counter(map(len, rows))
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    share = count / max(1, len(rows))
    fits = width > 1 and share >= 0.9 and len(rows[0]) == width
    strong = fits and separator in ("\t", "\x01", "::")
    return (
        fits,
        fits and width == expected,
        strong,
        fits and separator != " ",
        width if fits else 0,
        share if width > 1 else 0.0,
    )


def _encloses(head: str, separator: str) -> bool:
    """Whether double quotes enclose values, as they always do with commas and semicolons.

    With tabs, pipes and spaces they are part of the values, unless the first row has its values in quotes, quotes are
    doubled within quotes, or the rows are of one width only if quotes enclose values.
    """
    if len(separator) > 1:
        return False
    if separator in ",;":
        return True
    lines = [line.rstrip("\r") for line in head.split("\n") if line.strip()][:SAMPLE]
    values = [split_line(line, separator) for line in lines]
    enclosed = [value[1:-1] for value in itertools.chain.from_iterable(values) if _enclosed(value)]
    told = any(map(_enclosed, values[0])) or any('""' in value for value in enclosed)
    if not told and len(set(map(len, values))) == 1:
        return False
    rows: list[list[str]] = []
    try:
        with long_fields():
            rows.extend(csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True))
    except csv.Error as error:
        if "unexpected end" not in str(error):
            return False
    return told or len(set(map(len, rows))) == 1


def _enclosed(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


def _quoted_rows(head: str, separator: str, limit: int) -> list[list[str]]:
    rows: list[list[str]] = []
    with long_fields(), contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=separator, skipinitialspace=True):
            if any(value.strip() for value in row):
                rows.append([value.strip() for value in row])
            if len(rows) == limit:
                break
    return rows


def _measure(value: str) -> bool:
    """Return whether a value is a number or a date."""
    return bool(NUMBER.fullmatch(value) or DATE.fullmatch(value))


def _all_match(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    given = [value for value in values if value]
    return bool(given) and all(map(pattern.fullmatch, given))


def _are_numbered(values: Sequence[str]) -> bool:
    """Whether values count the rows, as 1, 2, 3 do."""
    numbers = [int(value) for value in values if re.fullmatch(r"\d{1,12}", value)]
    return len(numbers) == len(values) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _are_ratings(values: Sequence[str]) -> bool:
    given = {value for value in values if value}
    return 0 < len(given) <= 20 and all(NUMBER.fullmatch(value) and 0 <= float(value) <= 10 for value in given)
