"""Measured rows as Markdown for people and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from lightrec.benchmarks.report.caveats import caveats
from lightrec.benchmarks.report.columns import SPEEDUP, figures, labels, quality_change, teacher_words, verdict
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.terminal_table import absent_lines, machine_line
from lightrec.terminal import visible

Row = dict[str, Any]

FORMULAS = tuple("=+-@|%＝＋－＠")
"""Characters with which a spreadsheet's formulas and commands begin, in both widths."""
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def markdown_text(rows: Sequence[Row]) -> str:
    """The recommendation, all figures, the histories, the teacher, what is absent, the machine and the commands.

    Args:
        rows: of ``lightrec bench``, at least one of kind ``speed``.
    """
    speed = [row for row in rows if row["kind"] == "speed"]
    lines = [f"**{_plain(summary(speed))}**", "", *(f"> {_plain(words)}\n" for words in caveats(speed))]
    lines += [*_figures(speed), ""]
    lines += [f"Asked about {_plain(words)}" for words in dict.fromkeys(map(_asked, speed))]
    lines += [f"The teacher {_plain(words)}." for words in dict.fromkeys(map(teacher_words, speed)) if words]
    lines += [""]
    lines += [f"- absent: {_plain(words)}" for words in absent_lines(rows)]
    machines = dict.fromkeys(machine_line(row) for row in speed)
    commands = dict.fromkeys(row["command"] for row in speed)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", " ".join(commands))), default=0))
    lines += ["", f"Measured on {_plain(' and on '.join(machines))}:", "", fence, *commands, fence, ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def csv_text(rows: Sequence[Row]) -> str:
    """One line a row of any kind, one column a figure, named by its place: ``latency_ms.recommend.p50``.

    Lists (rounds, histograms, curves) are left to the JSON rows.
    """
    flat = [{_harmless(name): _harmless(fact) for name, fact in _flat(row).items()} for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def _harmless(fact: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe.

    >>> _harmless("=1+1"), _harmless("-x"), _harmless("-1.5"), _harmless(-1.5), _harmless("fp32")
    ("'=1+1", "'-x", '-1.5', -1.5, 'fp32')
    """
    if not isinstance(fact, str):
        return fact
    text = visible(fact)
    return f"'{text}" if text.lstrip()[:1] in FORMULAS and not NUMBER.fullmatch(text) else text


def _figures(speed: Sequence[Row]) -> list[str]:
    head = ["", *(_plain(name) for name in labels(speed))]
    lines = [head, ["---", *["---:"] * len(speed)]]
    for figure in figures(speed):
        texts = [figure.text(row) for row in speed]
        beside = {"NDCG@10": quality_change, SPEEDUP.label: verdict}.get(figure.label)
        if beside:
            words = [beside(row) for row in speed]
            texts = [f"{text} ({more})" if more else text for text, more in zip(texts, words, strict=True)]
        lines.append([_plain(figure.full_label), *map(_plain, texts)])
    return [f"| {' | '.join(line)} |" for line in lines]


def _asked(row: Row) -> str:
    """Whose histories, or how they were made up."""
    data = row["data"]
    histories = f"{data['histories']:,} histories of {data['name']} ({data['source']})"
    return f"{histories}, median length {data['median_length']:g}."


def _flat(row: Row, before: str = "") -> Row:
    """Nested keys joined with dots.

    >>> _flat({"a": {"b": 1, "c": [1]}, "d": "x"})
    {'a.b': 1, 'd': 'x'}
    """
    found: Row = {}
    for name, fact in row.items():
        if isinstance(fact, dict):
            found |= _flat(fact, f"{before}{name}.")
        elif not isinstance(fact, list):
            found[f"{before}{name}"] = fact
    return found


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text).replace("<", "&lt;")
