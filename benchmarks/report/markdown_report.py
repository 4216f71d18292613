"""Write measured rows as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightrec.benchmarks.report.absent import absent_lines
from lightrec.benchmarks.report.caveats import caveats
from lightrec.benchmarks.report.columns import figure_column, figures, labels, teacher_words
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.tables.formats import machine_line
from lightrec.benchmarks.report.tables.render_markdown import escape_markdown, markdown_table
from lightrec.benchmarks.report.tables.table import Cell, Column, Table, text_column
from lightrec.benchmarks.row_types import Row, SpeedRow, rows_of_kind


def markdown_text(rows: Sequence[Row]) -> str:
    """Return the recommendation, all figures, histories, teacher, what is absent, machine and commands.

    Args:
        rows: of ``lightrec bench``, at least one of kind ``speed``.
    """
    speed = rows_of_kind(rows, "speed")
    lines = [
        f"**{escape_markdown(summary(speed))}**",
        "",
        *(f"> {escape_markdown(words)}\n" for words in caveats(speed)),
    ]
    lines += [_figures(speed)]
    lines += [f"Asked about {escape_markdown(words)}" for words in dict.fromkeys(map(_asked, speed))]
    lines += [f"The teacher {escape_markdown(words)}." for words in dict.fromkeys(map(teacher_words, speed)) if words]
    lines += [""]
    lines += [f"- absent: {escape_markdown(words)}" for words in absent_lines(rows)]
    machines = dict.fromkeys(machine_line(row) for row in speed)
    commands = dict.fromkeys(row["command"] for row in speed)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", " ".join(commands))), default=0))
    lines += ["", f"Measured on {escape_markdown(' and on '.join(machines))}:", "", fence, *commands, fence, ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def _figures(speed: Sequence[SpeedRow]) -> str:
    """Return all figures: one line for each, one column for each row."""
    names, shown = [escape_markdown(name) for name in labels(speed)], figures(speed)
    lines = [figure_column(figure, speed, figure.full_label).cells for figure in shown]
    columns = [
        Column(name, [Cell(escape_markdown(line[place].text), _remark(line[place])) for line in lines])
        for place, name in enumerate(names)
    ]
    heads = text_column("", [escape_markdown(figure.full_label) for figure in shown])
    return markdown_table(Table([heads, *columns]))


def _remark(cell: Cell) -> str:
    return f"({escape_markdown(cell.detail)})" if cell.detail else ""


def _asked(row: SpeedRow) -> str:
    """Describe the histories: whose they are, or how they were made."""
    data = row["data"]
    histories = f"{data['histories']:,} histories of {data['name']} ({data['source']})"
    return f"{histories}, median length {data['median_length']:g}."
