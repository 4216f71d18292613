"""Represent a table of results without deciding how it is shown.

Functions elsewhere build a :class:`Table` from rows; ``render_terminal``, ``render_markdown`` and ``render_html`` show
it. Which cell is the best of a column is decided here alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

MISSING = "–"
"""Shown where a value was not measured."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One value as text."""

    text: str
    detail: str = ""
    """A remark in small print, such as an interval."""
    best: bool = False
    """Whether it is the best of its column, and is highlighted."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A labelled column."""

    label: str
    cells: Sequence[Cell]
    is_text: bool = False
    """Text is aligned to the left, numbers to the right."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of equal length."""

    columns: Sequence[Column]

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """The cells, row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def without_constant(self, count: int = 1) -> Table:
        """Leave out those of the first ``count`` columns that hold the same text in every row."""
        kept = [
            column
            for place, column in enumerate(self.columns)
            if place >= count or len({cell.text for cell in column.cells}) != 1
        ]
        return Table(kept)


def text_column(label: str, texts: Sequence[str]) -> Column:
    """Make a column of plain text."""
    return Column(label, [Cell(text) for text in texts], is_text=True)


def number_column(
    label: str,
    values: Sequence[float | None],
    write: Callable[[float], str],
    best: Callable[[Sequence[float]], float] | None = None,
    details: Sequence[str] = (),
    missing: str = MISSING,
) -> Column:
    """Make a column of numbers whose best cells are marked.

    Args:
        label: the column's label.
        values: one for each row; None where it was not measured.
        write: formats a value.
        best: ``min`` or ``max``; None where no value is better than another.
        details: small print for each row; none if empty.
        missing: shown for None.

    Cells that read the same as the best one are marked too; none is marked where all known values read the same.

    >>> [cell.best for cell in number_column("ms", [1.0, 2.0, None], str, min).cells]
    [True, False, False]
    >>> [cell.best for cell in number_column("ms", [1.0, 1.0], str, min).cells]
    [False, False]
    """
    texts = [missing if value is None else write(value) for value in values]
    known = [value for value in values if value is not None]
    distinct = {text for text, value in zip(texts, values, strict=True) if value is not None}
    winner = write(best(known)) if best and len(distinct) > 1 else None
    cells = [
        Cell(text, detail, best=text == winner)
        for text, detail in zip(texts, details or [""] * len(texts), strict=True)
    ]
    return Column(label, cells)
