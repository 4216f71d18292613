"""Small inline drawings of the report. Their places are percentages, so that they fit any width; no script."""

from __future__ import annotations

from typing import Any


def ci_bar(value: dict[str, Any], limit: float) -> str:
    """A bar from 0 to the value, with its interval as a whisker.

    Args:
        value: ``{"value": ..., "low": ..., "high": ...}``; without ``low`` there is no whisker.
        limit: what the full width stands for.
    """
    drawing = _bar("light", value["value"], limit)
    words = f"{value['value']:.4f}"
    if value["low"] is not None:
        drawing += _whisker(value["low"], value["high"], limit)
        words += f", 95 % interval {value['low']:.4f} to {value['high']:.4f}"
    return _svg(drawing, words)


def latency_bar(call: dict[str, Any], graph: dict[str, Any], limit: float) -> str:
    """The median of the whole call, within it that of the graph, and a whisker to the call's 99th percentile."""
    drawing = _bar("light", call["p50"], limit) + _bar("strong", min(graph["p50"], call["p50"]), limit)
    words = f"median {call['p50']:.3f} ms, of which graph {graph['p50']:.3f} ms, 99th percentile {call['p99']:.3f} ms"
    return _svg(drawing + _whisker(call["p50"], call["p99"], limit), words)


def size_bar(size: float, limit: float) -> str:
    """A plain bar."""
    return _svg(_bar("strong", size, limit), f"{size / 1e6:.2f} MB")


def _svg(drawing: str, words: str) -> str:
    return f'<svg role="img" aria-label="{words}">{drawing}</svg>'


def _bar(css: str, value: float, limit: float) -> str:
    return f'<rect class="{css}" y="20%" height="60%" rx="2" width="{_percent(value, limit)}"/>'


def _whisker(low: float, high: float, limit: float) -> str:
    left, right = _percent(low, limit), _percent(high, limit)
    ends = "".join(f'<line class="whisker" x1="{x}" x2="{x}" y1="32%" y2="68%"/>' for x in (left, right))
    return f'<line class="whisker" x1="{left}" x2="{right}" y1="50%" y2="50%"/>{ends}'


def _percent(value: float, limit: float) -> str:
    return f"{100 * value / limit if limit else 0:.2f}%"
