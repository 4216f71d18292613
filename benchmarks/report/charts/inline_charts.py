"""Draw small charts inside tables; positions are percentages, so that they fit any width."""

from __future__ import annotations

from html import escape

from lightrec.benchmarks.report.charts.axes import Axis, short
from lightrec.benchmarks.report.charts.line_chart import COLOURS
from lightrec.benchmarks.row_types import Estimate, Histogram, Latency

TICK_GAP = 0.2
"""Least distance of two labels below a drawing, as a share of its width."""


def ci_bar(value: Estimate, limit: float) -> str:
    """Draw a bar from 0 to the value, with its interval as a whisker.

    Args:
        value: ``{"value": ..., "low": ..., "high": ...}``; without ``low`` there is no whisker.
        limit: what the full width stands for.
    """
    drawing = _bar("light", value["value"], limit)
    words = f"{value['value']:.4f}"
    low, high = value["low"], value["high"]
    if low is not None and high is not None:
        drawing += _whisker(low, high, limit)
        words += f", 95% interval {low:.4f} to {high:.4f}"
    return _svg(drawing, words)


def plain_bar(size: float | None, limit: float, words: str) -> str:
    """Draw a bar from 0 to ``size``; nothing if it is unknown."""
    return "" if size is None else _svg(_bar("strong", size, limit), words)


def distribution(call: Latency, axis: Axis, style: int) -> str:
    """Draw the distribution of latencies: the histogram, or a line from min to p99; p50 and p99 are marked.

    Args:
        call: ``min``, ``p50``, ``p99`` and, where it was kept, ``histogram``.
        axis: of milliseconds.
        style: the variant's, for its colour.
    """
    histogram = call.get("histogram")
    drawing = _area(histogram, axis) if histogram else ""
    drawing += _line("range", axis, call["min"], call["p99"], "92%")
    for percentile, top in ((call["p50"], "8%"), (call["p99"], "62%")):
        x = _percent(axis.at(percentile), 1)
        drawing += f'<line class="tick" x1="{x}" x2="{x}" y1="{top}" y2="100%"/>'
    words = f"median {call['p50']:.3f} ms, 99th percentile {call['p99']:.3f} ms"
    return _svg(drawing, words, f"dist c{style % COLOURS}")


def tick_row(axis: Axis) -> str:
    """Draw the labels of an axis below the charts that share it, as many as fit into a narrow column."""
    shown: list[float] = []
    for tick in axis.ticks:
        near = shown and axis.at(tick) - axis.at(shown[-1]) < TICK_GAP
        if not near and 0.03 < axis.at(tick) < 0.97:
            shown.append(tick)
    marks = "".join(
        f'<text x="{_percent(axis.at(tick), 1)}" y="70%" text-anchor="middle">{short(tick)}</text>' for tick in shown
    )
    return f'<svg class="plot ticks" aria-hidden="true">{marks}</svg>'


def _area(histogram: Histogram, axis: Axis) -> str:
    """Draw the counts as a filled outline, as wide as the cell."""
    edges, counts = histogram["edges_ms"], histogram["counts"]
    most = max(counts) or 1
    path = f"M{100 * axis.at(edges[0]):.2f},100"
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        path += f"L{100 * axis.at(left):.2f},{100 - 92 * count / most:.1f}H{100 * axis.at(right):.2f}"
    return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none"><path class="area" d="{path}V100Z"/></svg>'


def _svg(drawing: str, words: str, css: str = "bar") -> str:
    return f'<svg class="{css}" role="img" aria-label="{escape(words)}">{drawing}</svg>'


def _bar(css: str, value: float, limit: float) -> str:
    return f'<rect class="{css}" y="20%" height="60%" rx="2" width="{_percent(value, limit)}"/>'


def _whisker(low: float, high: float, limit: float) -> str:
    left, right = _percent(low, limit), _percent(high, limit)
    ends = "".join(f'<line class="whisker" x1="{x}" x2="{x}" y1="32%" y2="68%"/>' for x in (left, right))
    return f'<line class="whisker" x1="{left}" x2="{right}" y1="50%" y2="50%"/>{ends}'


def _line(css: str, axis: Axis, low: float, high: float, y: str) -> str:
    left, right = _percent(axis.at(low), 1), _percent(axis.at(high), 1)
    return f'<line class="{css}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'


def _percent(value: float, limit: float) -> str:
    return f"{100 * value / limit if limit else 0:.2f}%"
