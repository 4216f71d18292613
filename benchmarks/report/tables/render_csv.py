"""Render rows as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from lightrec.benchmarks.row_types import Row
from lightrec.terminal import visible

FORMULAS = tuple("=+-@|%＝＋－＠")
"""Characters with which a spreadsheet's formulas and commands begin, in both widths."""
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def csv_text(rows: Sequence[Row]) -> str:
    """Return one line per row of any kind, one column per value, named by its path: ``latency_ms.recommend.p50``.

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
    """Prefix text that begins like a formula with an apostrophe, so that no spreadsheet runs it.

    >>> _harmless("=1+1"), _harmless("-x"), _harmless("-1.5"), _harmless(-1.5), _harmless("fp32")
    ("'=1+1", "'-x", '-1.5', -1.5, 'fp32')
    """
    if not isinstance(fact, str):
        return fact
    text = visible(fact)
    return f"'{text}" if text.lstrip()[:1] in FORMULAS and not NUMBER.fullmatch(text) else text


def _flat(row: Row, before: str = "") -> dict[str, Any]:
    """Flatten nested keys, joined with dots.

    >>> _flat({"a": {"b": 1, "c": [1]}, "d": "x"})
    {'a.b': 1, 'd': 'x'}
    """
    found: dict[str, Any] = {}
    for name, fact in row.items():
        if isinstance(fact, dict):
            found |= _flat(fact, f"{before}{name}.")
        elif not isinstance(fact, list):
            found[f"{before}{name}"] = fact
    return found
