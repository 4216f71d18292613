"""Separated text: its layout, and the names of its columns by a header, by the user, or by what leaves no doubt."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lightrec.data.columns.usual_names import listed
from lightrec.data.reading.content import Content
from lightrec.data.reading.options import Part, ReadOptions
from lightrec.data.separated.layout import (
    Layout,
    find_header,
    find_preamble,
    header_names,
    parse_separator,
    propose_names,
    recognise_layout,
    split_lines,
)
from lightrec.data.separated.rows import pairs_are_grouped, read_rows
from lightrec.errors import ConfigError, DataError

MOST_PROPOSED = 30
"""Columns whose names are proposed in a message."""


def read_separated(
    content: Content, options: ReadOptions, new_file: Callable[[], Path], before: Sequence[str] = ()
) -> Part:
    """Find layout and names of a separated text; its rows are read later.

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
    if len(rows[0]) == 1 and separator is None and not options.columns:
        raise _one_value(content.file, rows[0], flag if options.flags else "")
    names, header, notes = _name_columns(content, layout, rows, options, before)
    _require_different(content.file, names)
    if header and len(names) != len(rows[0]):  # the header is not as wide as the rows, so it is removed
        blank = next(place for place, line in enumerate(content.head.split("\n")) if line.strip())
        content, header = _without_lines(content, blank + 1, new_file()), False
    if options.separator is None and layout.separator not in ("\t", ","):
        notes.append(f"has {layout.spoken} between its values")
    frame, count = read_rows(content, layout, names, header, new_file, flag)
    return Part(content.file, frame, names, (*content.notes, *notes), count)


def _name_columns(
    content: Content, layout: Layout, rows: list[list[str]], options: ReadOptions, before: Sequence[str]
) -> tuple[list[str], bool, list[str]]:
    """Return the names of the columns, whether the first row is a header, and notes."""
    header = find_header(rows)
    if options.columns:
        names = _given_names(content.file, rows[0], options)
        replaced = f"has a header of its own ({listed(rows[0])}), which {options.flags}columns replaces"
        return names, header is True, [replaced] if header else []
    if header is not False:
        return _with_unnamed(header_names(rows[0]), rows[1:]), True, []
    if len(before) == len(rows[0]):
        return list(before), False, ["has no header: it was read with the columns of the part before it"]
    names = _assumed_names(content, layout, rows, options)
    assumed = f"has no header: its columns were read as {' and '.join(names)}, in the order of the rows"
    return names, False, [f"{assumed} (if the item comes first, give {options.flags}columns item,user)"]


def _one_value(file: str, first: Sequence[str], flag: str) -> DataError:
    mend = f"name it with {flag}" if flag else "name the columns in a first line, with commas between them"
    return DataError(
        f"{file} has one value in a row (the first: {listed(first)}): if something separates several, {mend}."
    )


def _without_preamble(content: Content, new_file: Callable[[], Path]) -> tuple[Content, str | None]:
    """Return the text without lines before the table, and the separator that they name."""
    lines, separator = find_preamble(content.head)
    if not lines:
        return content, separator
    what = "a line that is no row" if lines == 1 else f"{lines:,} lines that are no rows"
    note = f"starts with {what} ({listed(content.head.splitlines()[:1])})"
    return dataclasses.replace(_without_lines(content, lines, new_file()), notes=(*content.notes, note)), separator


def _without_lines(content: Content, lines: int, copy: Path) -> Content:
    """Return the text without its first lines."""
    with content.path.open("rb") as source, copy.open("wb") as target:
        for _ in range(lines):
            source.readline()
        shutil.copyfileobj(source, target)
    return dataclasses.replace(content, path=copy, head=content.head.split("\n", lines)[-1])


def _with_unnamed(names: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The names of a header that leaves one out: of row numbers at the start, or of nothing after a last separator."""
    if not rows or any(len(row) != len(names) + 1 for row in rows):
        return names
    if not any(row[-1] for row in rows):
        return [*names, f"column_{len(names) + 1}"]
    numbers = [row[0] for row in rows]
    first = int(numbers[0]) if numbers[0] in ("0", "1") else 1
    if numbers == [str(number) for number in range(first, first + len(rows))]:
        return ["column_0", *names]
    return names


def _given_names(file: str, first: Sequence[str], options: ReadOptions) -> list[str]:
    names = [name if name not in ("", "-") else f"column_{place}" for place, name in enumerate(options.columns, 1)]
    if len(names) != len(first):
        raise ConfigError(
            f"{options.flags}columns names {len(names)} columns, but {file} has {len(first)} (its first row: "
            f"{listed(first)}): name each of them, or check {options.flags}separator."
        )
    return names


def _assumed_names(content: Content, layout: Layout, rows: list[list[str]], options: ReadOptions) -> list[str]:
    """User and item where a file without a header leaves no doubt: pairs whose rows are grouped by the first value."""
    items = not options.is_log
    if len(rows[0]) == 2 and not items and pairs_are_grouped(content.path, layout):
        return ["user", "item"]
    widths = sorted({len(row) for row in rows})
    if len(widths) > 2 and not items:
        raise DataError(
            f"{content.file} has no header, and its rows have {widths[0]} to {widths[-1]} values: if each line is a "
            f"user and their items, give {options.flags}format sequences."
        )
    if not options.flags:
        raise DataError(
            f"{content.file} has no header (its first row: {listed(rows[0])}): add a first line with the names of its "
            "columns."
        )
    proposal = propose_names(rows, items)
    if len(rows[0]) > MOST_PROPOSED:
        proposal = f"user,item,... (a name for each of the {len(rows[0]):,})"
    raise DataError(
        f"{content.file} has no header (its first row: {listed(rows[0], 10)}): name its columns in their order, as in "
        f"{options.flags}columns {proposal}."
    )


def _require_different(file: str, names: Sequence[str]) -> None:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{file} has two columns named {twice!r}: rename one of them.")
