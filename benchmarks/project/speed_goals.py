"""Goals of the speed table, and the verdict on its rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lightrec.benchmarks.report.tables.formats import milliseconds
from lightrec.benchmarks.report.tables.table import Cell, Column, Table
from lightrec.benchmarks.row_types import NewRow


@dataclasses.dataclass(frozen=True)
class Goal:
    """One line of the table."""

    name: str
    """As in the rows, ``beauty/replay``: the part before the slash is what is asked for with ``--rows``."""
    what: str
    """In words."""
    limit: float
    """The value must be at most this (at least, if :attr:`at_least`)."""
    stretch: float | None = None
    """What would be better still."""
    at_least: bool = False
    """Whether more is better."""
    unit: str = "×"
    """Of the value: ``×`` for ratios."""


REPLAY = "time of RePlay's compiled SasRec plus top-k"
BANDWIDTH = "time to read the int8 item table once"
GOALS = (
    Goal("beauty/replay", f"Beauty, 12,101 items: {REPLAY}", 0.5),
    Goal("ml-1m/replay", f"ML-1M, 3,706 items: {REPLAY}", 0.75, 0.5),
    Goal("recipe-beauty/replay", f"the student of Beauty's recipe, with neighbours: {REPLAY}", 0.5),
    Goal("recipe-ml-1m/replay", f"the student of ML-1M's recipe, with neighbours: {REPLAY}", 0.75, 0.5),
    Goal("recipe-video-games/replay", f"the student of Video Games' recipe, with neighbours: {REPLAY}", 0.5),
    Goal("100k/replay", f"100,000 items: {REPLAY}", 0.35),
    Goal("1m/replay", f"1,000,000 items: {REPLAY}", 0.30),
    Goal("1m/bandwidth", f"1,000,000 items: {BANDWIDTH}", 1.3, 1.0),
    Goal("1m/memory", "1,000,000 items: peak memory over model size", 2.5, 1.3),
    Goal("10m/bandwidth", f"10,000,000 items: {BANDWIDTH}", 1.3),
    Goal("10m/memory", "10,000,000 items: peak memory over model size", 2.5, 1.3),
    Goal("batch/replay", "12,101 items, batches, two threads: throughput of RePlay's batch mode", 2.0, at_least=True),
    Goal("teacher/torch", "Beauty: latency of the fine-tuned teacher in torch over the bundle's", 100.0, at_least=True),
    Goal("size/bytes", "Beauty: model, ids, manifest", 1.0, unit=" MB"),
    Goal("cold/start", "12,101 items, process start to first answer: numpy, onnxruntime, opening the model", 1.25),
    Goal("cold/memory", "12,101 items, peak memory", 80.0, unit=" MB"),
    Goal("quality/change", "Beauty: NDCG@10 of int8 against fp32, mean change either way", 0.5, unit=" %"),
    Goal("quality/bound", "Beauty: NDCG@10 of int8 against fp32, lower 95 % bound", -1.0, at_least=True, unit=" %"),
    Goal("quality/overlap", "Beauty: top 10 that int8 and fp32 share", 0.98, at_least=True, unit=""),
)
"""The whole table; every value is a ratio to what the words name, unless it has a unit."""

ROWS = tuple(dict.fromkeys(goal.name.split("/")[0] for goal in GOALS))
"""What can be asked for with ``--rows``."""


def goal_row(name: str, value: float | dict[str, float], **facts: Any) -> NewRow:
    """Make the row of one goal.

    Args:
        name: of the goal.
        value: one number, or ``{"low", "value", "high"}``: the median over rounds with its 10th and 90th percentile.
        facts: what it was made from.
    """
    goal = next(goal for goal in GOALS if goal.name == name)
    found = value["value"] if isinstance(value, dict) else value
    spread = value if isinstance(value, dict) else {"low": None, "value": value, "high": None}
    return {
        "kind": "goal",
        "goal": name,
        "what": goal.what,
        "unit": goal.unit,
        "found": spread,
        **_verdict(goal, found),
        **facts,
    }


def goals_table(rows: Sequence[NewRow]) -> Table:
    """Build the table of every measured goal."""
    heads = ("what", "measured", "10–90 %", "goal", "stretch", "")
    lines = [cells(row) for row in rows]
    return Table(
        [
            Column(head, [Cell(line[place]) for line in lines], is_text=head == "what")
            for place, head in enumerate(heads)
        ]
    )


def cells(row: NewRow) -> list[str]:
    """Return the texts of one goal: what, value, spread, goal, stretch, verdict."""
    found, unit = row["found"], row["unit"]
    spread = "" if found["low"] is None else f"{_number(found['low'])}–{_number(found['high'])}"
    sign = "≥" if row["at_least"] else "≤"
    stretch = "" if row["stretch"] is None else f"{sign} {row['stretch']:g}{unit}"
    verdict = "missed" if not row["met"] else "met, stretch too" if row["stretch_met"] else "met"
    return [row["what"], f"{_number(found['value'])}{unit}", spread, f"{sign} {row['limit']:g}{unit}", stretch, verdict]


def latency_line(row: NewRow) -> str:
    """Return the medians behind a ratio: ``bundle 0.087 ms, RePlay 0.21 ms``."""
    return ", ".join(f"{name} {milliseconds(side['p50'])} ms" for name, side in row.get("latency_ms", {}).items())


def _verdict(goal: Goal, found: float) -> NewRow:
    def holds(limit: float | None) -> bool | None:
        return None if limit is None else found >= limit if goal.at_least else found <= limit

    return {
        "at_least": goal.at_least,
        "limit": goal.limit,
        "stretch": goal.stretch,
        "met": holds(goal.limit),
        "stretch_met": holds(goal.stretch),
    }


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
