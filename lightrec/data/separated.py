"""Separated text: every value as text, without the spaces around it, and every row as wide as the header.

Text without quotes is read by polars as it is. Text with quotes is first written anew in one dialect, so that stray
and escaped quotes, spaces before a quote and line breaks within one are read as their writer meant them or refused.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightrec.data.content import Content
from lightrec.data.frames import pl
from lightrec.data.layout import (
    Layout,
    find_header,
    find_preamble,
    header_names,
    long_fields,
    parse_separator,
    propose_names,
    recognise_layout,
    split_lines,
)
from lightrec.data.options import Part, ReadOptions
from lightrec.errors import ConfigError, DataError

DIALECTS: tuple[dict[str, Any], ...] = (
    {},
    {"skipinitialspace": True},
    {"escapechar": "\\", "doublequote": False},
)
"""Ways of writing quotes, the usual one first."""
LINE = "line"
NEVER = "\0"
"""A character that no text holds: the content of a file with one is refused as binary."""


def read_separated(
    content: Content, options: ReadOptions, new_file: Callable[[], Path], before: Sequence[str] = ()
) -> Part:
    """Look at a separated text; its rows are read later.

    Args:
        content: the text.
        options: how to read it.
        new_file: gives the path of a new file in the scratch folder.
        before: the columns of the part before it in the same log, which a part without a header has too.

    Raises:
        DataError: if a row is not as wide as the header, a quote is not closed, or the columns have no names.
        ConfigError: if the options do not fit the file.
    """
    flag = f"{options.flags}separator"
    content, separator = _without_preamble(content, new_file)
    separator = parse_separator(options.separator, flag) if options.separator is not None else separator
    layout = recognise_layout(content.head, separator, content.quotes, len(options.columns))
    rows = split_lines(content.head, layout)
    if not rows:
        raise DataError(f"{content.file} is empty: it has no rows.")
    found = find_header(rows)
    header = found is not False
    notes = list(content.notes)
    if options.columns:
        names, header = _given_names(content.file, rows[0], options), found is True
        if header:
            notes.append(f"has a header of its own ({', '.join(rows[0])}), which {options.flags}columns replaces")
    elif header:
        names = header_names(rows[0])
    elif len(before) == len(rows[0]):
        names = list(before)
        notes.append("has no header: it was read with the columns of the part before it")
    else:
        names = _assumed_names(content, layout, rows, options)
        notes.append(
            f"has no header: its columns were read as {' and '.join(names)}, in the order of the rows (if the item "
            f"comes first, give {options.flags}columns item,user)"
        )
    _require_different(content.file, names)
    if options.separator is None and layout.separator not in ("\t", ","):
        notes.append(f"has {layout.spoken} between its values")
    frame, rows_read = _frame(content, layout, names, header, new_file, flag)
    return Part(content.file, frame, names, tuple(notes), rows_read)


def _without_preamble(content: Content, new_file: Callable[[], Path]) -> tuple[Content, str | None]:
    """The text without lines before the table, and the separator that they name."""
    lines, separator = find_preamble(content.head)
    if not lines:
        return content, separator
    copy = new_file()
    with content.path.open("rb") as source, copy.open("wb") as target:
        for _ in range(lines):
            source.readline()
        shutil.copyfileobj(source, target)
    head = content.head.split("\n", lines)[-1]
    note = f"starts with {lines:,} {'lines' if lines > 1 else 'line'} that are no rows ({_shown([content.head[:60]])})"
    return dataclasses.replace(content, path=copy, head=head, notes=(*content.notes, note)), separator


def _given_names(file: str, first: Sequence[str], options: ReadOptions) -> list[str]:
    names = [name if name not in ("", "-") else f"column_{place}" for place, name in enumerate(options.columns, 1)]
    if len(names) != len(first):
        raise ConfigError(
            f"{options.flags}columns names {len(names)} columns, but {file} has {len(first)} (its first row: "
            f"{_shown(first)}): name each of them, or check {options.flags}separator."
        )
    return names


def _assumed_names(content: Content, layout: Layout, rows: list[list[str]], options: ReadOptions) -> list[str]:
    """User and item where a file without a header leaves no doubt: pairs whose rows are grouped by the first value."""
    items = not options.is_log
    if len(rows[0]) == 2 and not items and _grouped(content.path, layout):
        return ["user", "item"]
    widths = sorted({len(row) for row in rows})
    if len(widths) > 2 and not items:
        raise DataError(
            f"{content.file} has no header, and its rows have {widths[0]} to {widths[-1]} values: if each line is a "
            f"user and their items, give {options.flags}format sequences."
        )
    if not options.flags:
        raise DataError(
            f"{content.file} has no header (its first row: {_shown(rows[0])}): add a first line with the names of its "
            "columns."
        )
    raise DataError(
        f"{content.file} has no header (its first row: {_shown(rows[0])}): name its columns in their order, as in "
        f"{options.flags}columns {propose_names(rows, items)}."
    )


def _grouped(path: Path, layout: Layout) -> bool:
    """Whether equal values of the first of two columns are all neighbours, and those of the second are not."""
    values = _split(_lines(path), layout.separator, ["user", "item"]).collect()
    runs, distinct = values.select(pl.all().rle_id().max() + 1), values.select(pl.all().n_unique())
    return bool(runs["user"][0] == distinct["user"][0] < len(values) and runs["item"][0] > distinct["item"][0])


def _require_different(file: str, names: Sequence[str]) -> None:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{file} has two columns named {twice!r}: rename one of them.")


def _frame(
    content: Content, layout: Layout, names: list[str], header: bool, new_file: Callable[[], Path], flag: str
) -> tuple[pl.LazyFrame, int]:
    """The rows, every value as text, and their number."""
    if layout.quoted:
        copy = new_file()
        complaint, rows = _write_anew(content, layout.separator, len(names), header, copy)
        if complaint is None:
            return _tidy(_scan(copy, ",", names, quoted=True)), rows
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
    if not blank and len(layout.separator) == 1 and layout.separator != " ":
        frame = _scan(content.path, layout.separator, names, quoted=False, skip=int(header))
    else:
        frame = _split(_lines(content.path).slice(int(header)), layout.separator, names)
    return _tidy(frame), lines - header


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
    """The lines that are not blank, in one column."""
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
    """Without spaces around values; an empty value is null."""
    text = pl.all().str.strip_chars()
    return frame.select(text).select(pl.when(pl.all() != "").then(pl.all()))


def _survey(path: Path, separator: str, width: int) -> tuple[tuple[int, int] | None, int, bool, int | None]:
    """Look at all rows.

    Returns:
        The place and width of the first row of another width, the number of rows, whether lines are blank, and the
        place of the first row that repeats the very first one.
    """
    line = pl.col(LINE).str.strip_chars()
    separators = (
        line.str.count_matches(r"\s+") if separator == " " else pl.col(LINE).str.count_matches(separator, literal=True)
    )
    fields = pl.when(line != "").then(separators + 1).otherwise(0).fill_null(0)
    lines = _scan(path, NEVER, [LINE], quoted=False)
    first = _lines(path).head(1).collect()[LINE][0]
    found = lines.select(fields.alias("fields"), (pl.col(LINE) == first).fill_null(False).alias("first")).collect()
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
            for rows in _batches(csv.reader(source, delimiter=separator, strict=True, **dialect)):
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
    """How many rows come before the one that the reader refuses."""
    rows = 0
    with path.open(encoding="utf-8", newline="") as source, contextlib.suppress(csv.Error):
        for row in csv.reader(source, delimiter=separator, strict=True, **dialect):
            rows += bool(row and any(map(str.strip, row)))
    return rows


def _unreadable(content: Content, complaint: str, layout: Layout, names: Sequence[str], flag: str) -> DataError:
    mend = "quote values that hold the separator" if "fields" in complaint else "close it, or double a quote in a value"
    return DataError(
        f"{content.file} cannot be read as separated text ({layout.spoken} between the values): {complaint}; {mend}, "
        f"or give another {flag}."
    )


def _expected(names: Sequence[str], header: bool) -> str:
    return f"{'the header' if header else 'the first row'} {len(names)}"


def _row(place: int, header: bool) -> str:
    """A row by its number, counted from 1 without the header and blank lines."""
    return f"row {place + (0 if header else 1):,}"


def _shown(values: Sequence[str], limit: int = 80) -> str:
    text = " ".join(", ".join(values).split())
    return text if len(text) <= limit else f"{text[:limit]}..."
