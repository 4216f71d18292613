"""Columns of speed rows: the label, path, format and best value of each number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from lightrec.benchmarks.report.charts.axes import short
from lightrec.benchmarks.report.tables.formats import drop, megabytes, milliseconds, per_second, times
from lightrec.benchmarks.report.tables.table import Column, number_column
from lightrec.benchmarks.row_types import Quality, Row, SpeedRow


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of a row."""

    group: str
    """What it belongs to: ``Latency``, ``Quality``, ..."""
    label: str
    """With its unit."""
    path: tuple[str, ...]
    """Its keys in the row."""
    write: Callable[[float], str]
    """How it is written."""
    best: Callable[[Sequence[float]], float] | None = min
    """Which of several is best; None where none is."""
    over: tuple[str, ...] = ()
    """Keys of the name of the reference variant, which has no value itself."""

    @property
    def full_label(self) -> str:
        """Return the label with the group's unit."""
        _, _, unit = self.group.partition(", ")
        return f"{self.label}, {unit}" if unit else self.label

    def of(self, row: SpeedRow) -> float | None:
        """Return the number; None if it was not measured, or if the row is the reference itself."""
        itself = self.over and value(row, *self.over) == row["variant"]
        return None if itself else value(row, *self.path)


def value(row: Any, *path: str) -> Any:
    """Return the value under nested keys of a row; None if any key is missing.

    >>> value({"a": {"b": 1}}, "a", "b"), value({"a": None}, "a", "b")
    (1, None)
    """
    for key in path:
        if not isinstance(row, dict):
            return None
        row = row.get(key)
    return row


def figures(rows: Sequence[SpeedRow]) -> list[Figure]:
    """Return the figures that at least one of the rows has, in the order of tables."""
    found = [*_QUALITY, SPEEDUP, *_LATENCY, *_throughput(rows), *_footprint(rows)]
    return [figure for figure in found if any(figure.of(row) is not None for row in rows)]


def labels(rows: Sequence[SpeedRow]) -> list[str]:
    """Name the rows: the variant, and the facts that distinguish rows of the same variant."""
    names = [row["variant"] for row in rows]
    for facts in zip(*map(_conditions, rows), strict=True):
        apart = {(name, fact) for name, fact in zip(names, facts, strict=True)}
        if len(set(names)) < len(names) and len(apart) > len(set(names)):
            names = [f"{name}, {fact}" if fact else name for name, fact in zip(names, facts, strict=True)]
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [name if count == 1 else f"{name} ({count})" for name, count in zip(names, counts, strict=True)]


def retained_quality(quality: Quality | None) -> str:
    """Return the share of NDCG@10 that is retained, relative to the variant compared with.

    >>> retained_quality({"ndcg_drop": 0.004}), retained_quality(None)
    ('99.6%', '')
    """
    lost = value(quality, "ndcg_drop")
    return "" if lost is None else f"{1 - lost:.1%}"


def teacher_words(row: SpeedRow) -> str:
    """Describe the teacher with its NDCG@10; empty without a teacher.

    >>> reached = {"value": 0.05, "low": 0.04, "high": 0.06}
    >>> teacher_words({"teacher": {"name": "large", "language_model": "bert", "cases": 40, "ndcg@10": reached}})
    'large (bert): NDCG@10 0.0500 (0.0400–0.0600) on 40 cases'
    """
    teacher = row.get("teacher")
    if not teacher:
        return ""
    found, kind = teacher["ndcg@10"], teacher.get("language_model") or teacher.get("model_type")
    interval = "" if found["low"] is None else f" ({found['low']:.4f}–{found['high']:.4f})"
    return f"{teacher['name']} ({kind}): NDCG@10 {found['value']:.4f}{interval} on {teacher['cases']:,} cases"


def quality_change(row: SpeedRow) -> str:
    """Return the relative change of NDCG@10; empty for the reference itself."""
    own = value(row, "quality", "compared_with") == row["variant"]
    return "" if own or value(row, "quality", "ndcg_drop") is None else drop(row["quality"])


def is_wrong(row: SpeedRow) -> bool:
    """Return whether a variant answers wrong items; such a variant is never recommended."""
    return any(value(row, part, "wrong_items") for part in ("agreement", "quality"))


def limits_words(row: Row) -> str:
    """Describe the limits of cores and memory; empty without limits.

    >>> limits_words({"limits": {"cores": 1, "memory_bytes": 512 * 2**20}}), limits_words({"limits": None})
    ('1 core and 512 MiB', '')
    """
    cores, memory = value(row, "limits", "cores"), value(row, "limits", "memory_bytes")
    parts = [f"{cores} core{'' if cores == 1 else 's'}" if cores else "", f"{memory / 2**20:g} MiB" if memory else ""]
    return " and ".join(filter(None, parts))


def verdict(row: SpeedRow, probe: str = "recommend") -> str:
    """Return ``no difference`` if the rounds show none from the reference variant; else an empty text."""
    speedup = value(row, "latency_ms", probe, "speedup")
    alike = speedup is not None and speedup.get("differs") is False and speedup["over"] != row["variant"]
    return "no difference" if alike else ""


def figure_column(figure: Figure, rows: Sequence[SpeedRow], label: str) -> Column:
    """Build the column of one figure, one cell for each row, with its remark in small print."""
    remark = {"NDCG@10": quality_change, SPEEDUP.label: verdict}.get(figure.label)
    details = [remark(row) for row in rows] if remark else []
    return number_column(label, [figure.of(row) for row in rows], figure.write, figure.best, details)


def _conditions(row: SpeedRow) -> list[str]:
    """Return the facts that may distinguish two rows of one variant, the plainest first."""
    threads = row.get("threads")
    device = value(row, "device")
    return [
        str(row.get("bundle") or ""),
        "" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}",
        "" if device in (None, "CPU") else str(device),
        str(value(row, "limits", "profile") or limits_words(row)),
        str(row.get("host") or ""),
        str(value(row, "machine", "processor") or ""),
        "" if (commit := row.get("commit")) is None else f"commit {commit[:7]}",
        str(row.get("time") or "")[:16].replace("T", " "),
    ]


def _latency(label: str, *path: str) -> Figure:
    return Figure("Latency, ms", label, path, milliseconds)


_QUALITY = (
    Figure("Quality", "NDCG@10", ("quality", "ndcg@10", "value"), "{:.4f}".format, max),
    Figure("Quality", "share of the teacher's NDCG@10", ("quality", "of_teacher"), "{:.1%}".format, max),
    Figure("Quality", "HR@10", ("quality", "hr@10", "value"), "{:.4f}".format, max),
    Figure(
        "Quality", "top 10 shared with the reference", ("agreement", "overlap@10"), "{:.1%}".format, max,
        over=("agreement", "over"),
    ),
)  # fmt: skip
_OVER = ("latency_ms", "recommend", "speedup")
SPEEDUP = Figure("Speed", "speed-up of one request", (*_OVER, "value"), times, max, over=(*_OVER, "over"))
"""How many times as fast as the reference."""
_LATENCY = (
    *(_latency(f"one request, {name}", "latency_ms", "recommend", key) for name, key in (
        ("least", "min"), ("p50", "p50"), ("mean", "mean"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999")
    )),
    _latency("graph alone, p50", "latency_ms", "graph", "p50"),
    _latency("graph alone, p99", "latency_ms", "graph", "p99"),
    _latency("session step, p50", "session_ms", "p50"),
    _latency("session step, p99", "session_ms", "p99"),
    _latency("load", "load_ms"),
    _latency("start to first answer", "cold_start", "ms", "median"),
)  # fmt: skip


def _throughput(rows: Sequence[SpeedRow]) -> list[Figure]:
    batches = sorted({batch for row in rows for batch in value(row, "per_second") or ()}, key=int)
    group = "Throughput, histories a second"
    found = [Figure(group, f"batch {batch}", ("per_second", batch), per_second, max) for batch in batches]
    bounds = sorted({bound for row in rows if (bound := value(row, "server", "p99_bound_ms")) is not None})
    words = f"p99 at most {' or '.join(map(short, bounds))} ms"
    return [*found, Figure(group, f"served, {words}", ("server", "max_rate"), per_second, max)]


def _footprint(rows: Sequence[SpeedRow]) -> list[Figure]:
    group = "Size and cost"
    return [
        Figure(group, "size, MB", ("size_bytes",), megabytes),
        Figure(group, "steady memory, MB", ("memory_bytes", "steady"), megabytes),
        Figure(group, "peak memory, MB", ("memory_bytes", "peak"), megabytes),
        Figure(group, "peak memory of a start, MB", ("cold_start", "peak_bytes"), megabytes),
        Figure(group, "processor time a call, ms", ("cpu_ms_per_call",), milliseconds),
        Figure(group, "change of latency without rest", ("soak", "p50_drift"), "{:+.1%}".format),
        Figure(group, "change of memory without rest", ("soak", "memory_drift"), "{:+.1%}".format),
        Figure(group, "energy a call, mJ", ("energy_mj_per_call",), milliseconds),
    ]
