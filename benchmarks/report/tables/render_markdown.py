"""Render a table as Markdown."""

from __future__ import annotations

import re

from lightrec.benchmarks.report.tables.table import Cell, Table


def markdown_table(table: Table) -> str:
    """Return the lines of a Markdown table: the best cells are bold, details follow their text."""
    rule = ["---" if column.is_text else "---:" for column in table.columns]
    lines = [[_pipes(column.label) for column in table.columns], rule]
    lines += [[_pipes(_text(cell)) for cell in row] for row in table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    r"""Escape text so that Markdown shows it as it is.

    >>> escape_markdown("a*b <c>")
    'a\\*b &lt;c>'
    """
    return re.sub(r"([\\`*\[\]])", r"\\\1", text).replace("<", "&lt;")


def _text(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.detail}" if cell.detail else text


def _pipes(text: str) -> str:
    return text.replace("|", "\\|")
