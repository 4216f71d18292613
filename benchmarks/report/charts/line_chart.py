"""Draw line charts with axes as static SVG, without scripts or network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from lightrec.benchmarks.report.charts.axes import Axis, short
from lightrec.benchmarks.report.charts.label_placement import Box, leader, text_width

COLOURS = 7
SHAPES = ("circle", "square", "triangle", "diamond", "wedge", "cross")
DASHES = ("", "7 3", "2 3", "9 3 2 3")

STYLE = """
:root {
  --c0: #0072b2; --c1: #c44f00; --c2: #00805d; --c3: #a8478a; --c4: #7a6400; --c5: #23282e; --c6: #5c6570;
}
@media (prefers-color-scheme: dark) {
  :root {
    --c0: #56b4e9; --c1: #ff8c42; --c2: #2fc39a; --c3: #e59ac8; --c4: #f0d642; --c5: #e6e9ed; --c6: #b4bdc7;
  }
}
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); }
.plot text { font-size: 12.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .axis { stroke: var(--soft); stroke-width: 1; }
.plot .axis-label { fill: var(--soft); }
.plot .name { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.plot .detail { font-size: 11.5px; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.plot .mark { fill: var(--c); stroke: var(--paper); stroke-width: 1.5; }
.plot .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.plot .limit { stroke: var(--ink); stroke-width: 1.25; stroke-dasharray: 5 4; }
.plot .beaten { fill: var(--c0); opacity: .07; }
.plot .front { fill: none; stroke: var(--c0); stroke-width: 1.5; opacity: .7; }
.plot .ring { fill: none; stroke: var(--ink); stroke-width: 1.75; }
.plot .leader { stroke: var(--soft); stroke-width: 1; }
.plot .limit-label { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
"""
"""Okabe and Ito's colours, deepened on white and lightened on black until they stand out from the ground."""


@dataclasses.dataclass(frozen=True)
class Line:
    """The values of one variant."""

    label: str
    style: int
    """The variant's place among all of the page: it chooses colour, mark and dashes."""
    points: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Frame:
    """The plot area between two axes, in units of the drawing."""

    x: Axis
    y: Axis
    width: float
    height: float
    left: float = 52
    right: float = 14
    top: float = 30
    bottom: float = 44

    def px(self, value: float) -> float:
        """Return the horizontal position of a value."""
        return round(self.left + self.x.at(value) * (self.width - self.left - self.right), 1)

    def py(self, value: float) -> float:
        """Return the vertical position of a value."""
        return round(self.height - self.bottom - self.y.at(value) * (self.height - self.top - self.bottom), 1)

    def axes(self) -> str:
        """Draw grid, ticks and labels."""
        floor, end = self.height - self.bottom, self.width - self.right
        parts = []
        for tick, words in zip(self.y.ticks, self.y.tick_labels(), strict=True):
            y = self.py(tick)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{end}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{y + 4}" text-anchor="end">{words}</text>')
        for tick, words in zip(self.x.ticks, self.x.tick_labels(), strict=True):
            x = self.px(tick)
            parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{floor}" y2="{floor + 5}"/>')
            parts.append(f'<text x="{x}" y="{floor + 19}" text-anchor="middle">{words}</text>')
        parts.append(f'<line class="axis" x1="{self.left}" x2="{end}" y1="{floor}" y2="{floor}"/>')
        parts.append(f'<text class="axis-label" x="0" y="14">{escape(self.y.label)}</text>')
        label_x = (self.left + end) / 2
        parts.append(
            f'<text class="axis-label" x="{label_x:.0f}" y="{self.height - 6:g}" text-anchor="middle">'
            f"{escape(self.x.label)}</text>"
        )
        return "".join(parts)


def line_chart(
    title: str, words: str, lines: Sequence[Line], x: Axis, y: Axis, limit: tuple[float, str] | None = None
) -> str:
    """Draw lines with marks over two axes.

    Args:
        title: read out by screen readers, and shown by browsers that wait over it.
        words: what it shows, for those who do not see it.
        lines: one a variant.
        x: horizontal axis.
        y: vertical axis.
        limit: a dashed line across at this height, with its label.
    """
    frame = Frame(x, y, 420, 290)
    drawing = frame.axes()
    if limit is not None:
        height, end = frame.py(limit[0]), frame.width - frame.right
        drawing += f'<line class="limit" x1="{frame.left}" x2="{end}" y1="{height}" y2="{height}"/>'
        drawing += _limit_label(frame, height, limit[1], lines)
    for line in lines:
        places = [(frame.px(a), frame.py(b)) for a, b in line.points]
        path = " ".join(f"{a},{b}" for a, b in places)
        marks = "".join(
            f"<g><title>{escape(f'{line.label}: {short_pair(*pair)}')}</title>{mark(line.style, *place, 4.5)}</g>"
            for pair, place in zip(line.points, places, strict=True)
        )
        curve = f'<polyline class="line" points="{path}"{_dashes(line.style)}/>'
        drawing += f'<g class="c{line.style % COLOURS}">{curve}{marks}</g>'
    return svg(drawing, frame.width, frame.height, title, words)


def _limit_label(frame: Frame, height: float, words: str, lines: Sequence[Line]) -> str:
    """Draw the label of the limit line at the end where the curves leave most room."""
    width, left, right = text_width(words, 12.5), frame.left + 6, frame.width - frame.right - 6
    corners = [(x, top, anchor) for top in (-20, 5) for x, anchor in ((left, "start"), (right - width, "end"))]
    boxes = [Box(x - 4, height + top, x + width + 4, height + top + 15) for x, top, _ in corners]
    traces = [box for line in lines for box in _trace([(frame.px(a), frame.py(b)) for a, b in line.points])]
    covered = [sum(box.meets(trace) for trace in traces) for box in boxes]
    x, top, anchor = corners[covered.index(min(covered))]
    at = x if anchor == "start" else x + width
    return (
        f'<text class="limit-label" x="{at:.1f}" y="{height + top + 12}" text-anchor="{anchor}">{escape(words)}</text>'
    )


def _trace(places: Sequence[tuple[float, float]]) -> list[Box]:
    """Return a curve through ``places`` as small boxes along it."""
    marks = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    return marks + [box for start, (x, y) in pairwise(places) for box in leader(*start, Box(x, y, x, y))]


def short_pair(x: float, y: float) -> str:
    """Return both values of a point, for its tooltip.

    >>> short_pair(256.0, 1234.5)
    '256, 1,234'
    """
    return f"{short(x)}, {short(float(f'{y:.3g}') if y < 1000 else y)}"


def mark(style: int, x: float, y: float, radius: float) -> str:
    """Draw the variant's mark; all shapes cover about the same area."""
    r = radius
    shape = SHAPES[style % len(SHAPES)]
    if shape == "circle":
        return f'<circle class="mark" cx="{x}" cy="{y}" r="{r:.1f}"/>'
    corners = {
        "square": [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)],
        "triangle": [(0, -1.35), (1.17, 0.68), (-1.17, 0.68)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "wedge": [(0, 1.35), (1.17, -0.68), (-1.17, -0.68)],
        "cross": [
            *((-0.42, -1.15), (0.42, -1.15), (0.42, -0.42), (1.15, -0.42), (1.15, 0.42), (0.42, 0.42)),
            *((0.42, 1.15), (-0.42, 1.15), (-0.42, 0.42), (-1.15, 0.42), (-1.15, -0.42), (-0.42, -0.42)),
        ],
    }[shape]
    points = " ".join(f"{x + a * r:.1f},{y + b * r:.1f}" for a, b in corners)
    return f'<polygon class="mark" points="{points}"/>'


def legend(entries: Sequence[tuple[str, int]], lines: bool = True) -> str:
    """Return a legend of names with their marks and lines, as HTML that wraps; empty without names."""
    width = 30 if lines else 16
    items = []
    for label, style in entries:
        line = f'<line class="line" x1="0" x2="30" y1="8" y2="8"{_dashes(style)}/>' if lines else ""
        drawing = f'<svg viewBox="0 0 {width} 16" aria-hidden="true">{line}{mark(style, width / 2, 8, 4.5)}</svg>'
        items.append(f'<li class="plot c{style % COLOURS}">{drawing}{escape(label)}</li>')
    return f'<ul class="legend-list">{"".join(items)}</ul>' if items else ""


def _dashes(style: int) -> str:
    dash = DASHES[style % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def svg(drawing: str, width: float, height: float, title: str, words: str, css: str = "plot") -> str:
    """Wrap a drawing in an SVG with a title and a description for screen readers."""
    label = f"{title}. {words}"
    return (
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{drawing}</svg>'
    )
