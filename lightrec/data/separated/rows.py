"""The rows of separated text: every value as text, without the spaces around it, and every row as wide as the others.

Text without quotes is read by polars as it is. Text with quotes is first written anew in one dialect, so that stray
and escaped quotes, spaces before a quote and line breaks within one are read as their writer meant them or refused.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightrec.data.reading.content import Content
from lightrec.data.reading.polars_import import pl
from lightrec.data.separated.layout import Layout, long_fields, split_lines
from lightrec.errors import DataError

DIALECTS: tuple[dict[str, Any], ...] = (
    {"skipinitialspace": True},
    {},
    {"escapechar": "\\", "doublequote": False, "skipinitialspace": True},
)
"""Ways of writing quotes, the usual one first."""
LINE = "line"
MARK = "\ufeff"
"""A byte order mark, which comes within a text where files were joined."""
NEVER = "\0"
"""A character that no text holds: the content of a file with one is refused as binary."""


def read_rows(
    content: Content, layout: Layout, names: list[str], header: bool, new_file: Callable[[], Path], flag: str
) -> tuple[pl.LazyFrame, int]:
    """Return the rows, to be read later, and their number.

    Args:
        content: the text.
        layout: how its lines are split.
        names: of the columns, as many as each row has values.
        header: whether the first row holds the names.
        new_file: gives the path of a new file in the scratch folder.
        flag: the flag that names the separator, for messages.

    Raises:
        DataError: naming the first row that has another width, a quote that is not closed, or the header again.
    """
    if layout.quoted:
        copy = new_file()
        complaint, rows = _write_anew(content, layout.separator, len(names), header, copy)
        if complaint is None:
            return _tidy(_scan(copy, ",", names, quoted=True) if rows else _no_rows(names)), rows
        if layout.separator == "," or '"' in content.head:
            raise _unreadable(content, complaint, layout, names, flag)
    return _plain_frame(content, layout, names, header, flag)


def _plain_frame(
    content: Content, layout: Layout, names: list[str], header: bool, flag: str
) -> tuple[pl.LazyFrame, int]:
    odd, lines, blank, again = _survey(content.path, layout.separator, len(names))
    if odd is not None:
        row, width = odd
        raise _unreadable(
            content, f"{_row(row, header)} has {width} fields, {_expected(names, header)}", layout, names, flag
        )
    if header and again is not None:
        raise _repeated(content.file, again)
    if lines == header:
        return _no_rows(names), 0
    if not blank and len(layout.separator) == 1 and layout.separator != " ":
        frame = _scan(content.path, layout.separator, names, quoted=False, skip=int(header))
    else:
        frame = _split(_lines(content.path).slice(int(header)), layout.separator, names)
    return _tidy(frame), lines - header


def _no_rows(names: Sequence[str]) -> pl.LazyFrame:
    return pl.LazyFrame(schema=dict.fromkeys(names, pl.String))


def _scan(path: Path, separator: str, names: Sequence[str], quoted: bool, skip: int = 0) -> pl.LazyFrame:
    return pl.scan_csv(
        path,
        has_header=False,
        separator=separator,
        quote_char='"' if quoted else None,
        skip_rows=skip,
        schema=dict.fromkeys(names, pl.String),
        glob=False,
    )


def _lines(path: Path) -> pl.LazyFrame:
    """Return the lines that are not blank, in one column."""
    lines = _scan(path, NEVER, [LINE], quoted=False)
    return lines.filter(pl.col(LINE).str.strip_chars() != "")


def _split(lines: pl.LazyFrame, separator: str, names: Sequence[str]) -> pl.LazyFrame:
    line, by = pl.col(LINE), separator
    if separator == " ":
        line, by = line.str.strip_chars().str.replace_all(r"\s+", NEVER), NEVER
    if len(names) == 1:
        return lines.select(line.alias(names[0]))
    fields = line.str.split_exact(by, len(names) - 1).struct.rename_fields(list(names))
    return lines.select(fields.alias(LINE)).unnest(LINE)


def _tidy(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Without spaces around values, nor the mark of a file that was joined to another; an empty value is null."""
    first, *others = frame.collect_schema().names()
    text = [pl.col(first).str.strip_chars_start(MARK).str.strip_chars(), pl.col(others).str.strip_chars()]
    return frame.select(text).select(pl.when(pl.all() != "").then(pl.all()))


def _survey(path: Path, separator: str, width: int) -> tuple[tuple[int, int] | None, int, bool, int | None]:
    """Survey all rows.

    Returns:
        The index and width of the first row of another width, the number of rows, whether lines are blank, and the
        index of the first row that repeats the very first one.
    """
    line = pl.col(LINE).str.strip_chars()
    separators = (
        line.str.count_matches(r"\s+") if separator == " " else pl.col(LINE).str.count_matches(separator, literal=True)
    )
    fields = pl.when(line != "").then(separators + 1).otherwise(0).fill_null(0)
    lines = _scan(path, NEVER, [LINE], quoted=False)
    first = _lines(path).head(1).collect()[LINE][0]
    found = lines.select(
        fields.alias("fields"), (pl.col(LINE).str.strip_chars_start(MARK) == first).fill_null(False).alias("first")
    ).collect()
    rows = found.filter(pl.col("fields") > 0)
    odd, again = ((rows["fields"] != width).arg_true(), rows["first"].arg_true())
    place = int(odd[0]) if len(odd) else None
    return (
        None if place is None else (place, int(rows["fields"][place])),
        len(rows),
        len(rows) != len(found),
        int(again[1]) if len(again) > 1 else None,
    )


def _repeated(file: str, row: int) -> DataError:
    return DataError(
        f"{file} has its header again in row {row:,}, as files that were joined do: remove it there, or give "
        "the files one by one."
    )


def _write_anew(content: Content, separator: str, width: int, header: bool, copy: Path) -> tuple[str | None, int]:
    """Write a text with quotes as plain CSV without header; the complaint of the usual dialect if none reads it."""
    complaints = []
    for dialect in DIALECTS:
        complaint, rows = _try_dialect(content, separator, width, header, copy, dialect)
        if complaint is None:
            return None, rows
        complaints.append(complaint)
    return complaints[0], 0


def _try_dialect(
    content: Content, separator: str, width: int, header: bool, copy: Path, dialect: dict[str, Any]
) -> tuple[str | None, int]:
    path, file = content.path, content.file
    done, first = 0, []  # type: int, list[str]
    with (
        long_fields(),
        path.open(encoding="utf-8", newline="") as source,
        copy.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target, lineterminator="\n")
        try:
            lines = (line.removeprefix(MARK) for line in source)
            for rows in _batches(csv.reader(lines, delimiter=separator, strict=True, **dialect)):
                if set(map(len, rows)) != {width}:
                    place = next(place for place, row in enumerate(rows) if len(row) != width)
                    what = "the header" if header else "the first row"
                    return f"{_row(done + place, header)} has {len(rows[place])} fields, {what} {width}", 0
                first = first or rows[0]
                if header and first in rows[not done :]:
                    raise _repeated(file, done + rows.index(first, not done))
                writer.writerows(rows[1:] if header and not done else rows)
                done += len(rows)
        except csv.Error:
            row = _count_rows(path, separator, dialect)
            return f"{_row(row, header)} has a quote that is not closed, or one amid a field", 0
    return None, done - header


def _batches(reader: Iterator[list[str]], size: int = 50_000) -> Iterator[list[list[str]]]:
    while batch := list(itertools.islice(reader, size)):
        rows = [row for row in batch if row and not (len(row) == 1 and not row[0].strip())]
        if rows:
            yield rows


def _count_rows(path: Path, separator: str, dialect: dict[str, Any]) -> int:
    """Count the rows before the one that the reader refuses."""
    rows = 0
    with path.open(encoding="utf-8", newline="") as source, contextlib.suppress(csv.Error):
        for row in csv.reader(source, delimiter=separator, strict=True, **dialect):
            rows += bool(row and any(map(str.strip, row)))
    return rows


def _unreadable(content: Content, complaint: str, layout: Layout, names: Sequence[str], flag: str) -> DataError:
    mend = "close it, or double a quote in a value"
    if "fields" in complaint:
        uneven = len({len(row) for row in split_lines(content.head, layout)}) > 2
        sequences = " (if each line is a user and their items, give --format sequences)"
        mend = f"quote values that hold the separator{sequences if uneven and flag == '--separator' else ''}"
    return DataError(
        f"{content.file} cannot be read as separated text ({layout.spoken} between the values): {complaint}; {mend}, "
        f"or give another {flag}."
    )


def _expected(names: Sequence[str], header: bool) -> str:
    return f"{'the header' if header else 'the first row'} {len(names)}"


def _row(place: int, header: bool) -> str:
    """A row by its number, counted from 1 without the header and blank lines."""
    return f"row {place + (0 if header else 1):,}"


def pairs_are_grouped(path: Path, layout: Layout) -> bool:
    """Return whether equal values are all consecutive in the first of two columns, but not in the second."""
    values = _split(_lines(path), layout.separator, ["user", "item"]).collect()
    runs, distinct = values.select(pl.all().rle_id().max() + 1), values.select(pl.all().n_unique())
    return bool(runs["user"][0] == distinct["user"][0] < len(values) and runs["item"][0] > distinct["item"][0])
