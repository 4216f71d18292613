"""Render sections, figures, tables and cells as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lightrec.benchmarks.report.charts.line_chart import COLOURS, mark
from lightrec.benchmarks.report.tables.table import Column

SHORT = 24
"""Names up to this length are not broken into lines."""


def section(title: str, note: str, content: str) -> str:
    """Return a section of the page; the title is text, the content HTML, and the note may hold HTML of this module."""
    below = f'<p class="note">{note}</p>\n' if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{below}{content}\n</section>"


def figure(title: str, note: str, picture: str, data: str = "") -> str:
    """Return a chart under its title, with its numbers to unfold."""
    words = f"<span>{escape(note)}</span>" if note else ""
    more = f"<details><summary>Figures</summary>{data}</details>" if data else ""
    return f"<figure><figcaption><strong>{escape(title)}</strong>{words}</figcaption>{picture}{more}</figure>"


def table(caption: str, columns: Sequence[tuple[str, list[str]]], more: str = "") -> str:
    """Return a table of rendered cells, column by column; the first column names the lines.

    Args:
        caption: what the table holds, for screen readers.
        columns: head and cells; a column without a head holds drawings.
        more: lines to add at the end.
    """
    heads = "".join(
        f'<th scope="col">{escape(name)}</th>' if name else '<th scope="col" class="chart"><span>drawn</span></th>'
        for name, _ in columns
    )
    lines = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*(cells for _, cells in columns), strict=True))
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{lines}\n{more}</tbody>\n</table>"
    )


def name_cell(name: str, style: int | None = None) -> str:
    """Return the head of a line, with the variant's mark in charts."""
    css = ' class="short"' if len(name) <= SHORT else ""
    return f'<th scope="row"{css}>{swatch(style) if style is not None else ""}{escape(name)}</th>'


def swatch(style: int) -> str:
    """Return a variant's mark, shown beside its name."""
    drawing = mark(style, 8, 8, 4.5)
    return f'<svg class="plot swatch c{style % COLOURS}" viewBox="0 0 16 16" aria-hidden="true">{drawing}</svg>'


def cell(content: str, label: str = "", css: str = "") -> str:
    """Return a cell of HTML; its label is shown beside it where the table becomes cards."""
    attributes = (f' data-label="{escape(label)}"' if label else "") + (f' class="{css}"' if css else "")
    return f"<td{attributes}>{content}</td>"


def html_cells(column: Column) -> list[str]:
    """Return a column's cells: the best are highlighted, details are in small print."""
    cells = []
    for one in column.cells:
        number = f'<strong class="best">{one.text}</strong>' if one.best else one.text
        cells.append(cell(number + (f"<small>{escape(one.detail)}</small>" if one.detail else ""), column.label))
    return cells


def html_column(column: Column) -> tuple[str, list[str]]:
    """Return a column's label and cells, for :func:`table`."""
    return column.label, html_cells(column)


def key(**meanings: str) -> str:
    """Return the key to a chart's colours, by their class in the template."""
    return "".join(
        f' <span class="legend"><span class="key {css}"></span>{meaning}</span>' for css, meaning in meanings.items()
    )
