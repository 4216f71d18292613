"""Render a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from lightrec.benchmarks.report.tables.table import Cell, Table

BEST = "bold green"


def terminal_table(table: Table, below: Table | None = None, styles: Sequence[str] = (), **options: Any) -> RichTable:
    """Return a table that rich can print: the best cells are bold and green.

    Args:
        table: the columns; a label may hold line breaks.
        below: a second table of as many columns and rows, whose rows are dimmed and follow those of the first.
        styles: a style for each row, in place of highlighting the best cells.
        options: of :class:`rich.table.Table`, such as ``title`` and ``caption``.
    """
    shown = RichTable(**{"box": box.SIMPLE_HEAD, "title_justify": "left", "caption_justify": "left", **options})
    for place, column in enumerate(table.columns):
        head = Text(column.label)
        if below is not None and (second := below.columns[place].label):
            head = Text.assemble(column.label, "\n", (second, "dim"))
        shown.add_column(
            head,
            justify="left" if column.is_text else "right",
            no_wrap=not column.is_text,
            vertical="bottom" if below else "top",
        )
    for place, row in enumerate(table.rows):
        style = styles[place] if styles else None
        shown.add_row(*(_text(cell, highlight=not styles) for cell in row), style=style)
        if below is not None:
            shown.add_row(*(_text(cell, "dim ") for cell in below.rows[place]), end_section=True)
    return shown


def _text(cell: Cell, style: str = "", highlight: bool = True) -> Text:
    return Text(cell.text, style=style + BEST if cell.best and highlight else style.strip())
