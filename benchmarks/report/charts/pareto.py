"""Draw quality against latency: the Pareto front of the variants, with their sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

from lightrec.benchmarks.report.charts.axes import Axis, linear_axis, log_axis
from lightrec.benchmarks.report.charts.label_placement import Box, leader, place_label, text_width
from lightrec.benchmarks.report.charts.line_chart import COLOURS, STYLE, Frame, mark, svg
from lightrec.benchmarks.report.tables.formats import megabytes, milliseconds

MIN_SPAN = 0.04
"""The quality axis is at least this share of the best quality long: smaller differences do not matter."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A variant in the chart."""

    label: str
    latency_ms: float
    quality: float
    size_bytes: float
    style: int
    """Its place among all variants of the page."""
    chosen: bool = False
    """Whether the report recommends it."""


def front(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front, the fastest first: each point is better than all faster ones.

    >>> a, b, c = (Point(*p, 1, 0) for p in (("a", 1.0, 0.1), ("b", 2.0, 0.2), ("c", 3.0, 0.15)))
    >>> [point.label for point in front([c, b, a])]
    ['a', 'b']
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.latency_ms, -point.quality)):
        if not found or point.quality > found[-1].quality:
            found.append(point)
    return found


def pareto_chart(
    points: Sequence[Point], width: float, height: float, limit: tuple[float, str] | None = None, named: bool = True
) -> tuple[str, list[Point]]:
    """Draw the chart for a page, in its colours; return it with the points whose names did not fit.

    Args:
        points: at least one.
        width: in the drawing's units, which are pixels at full size.
        height: likewise.
        limit: the least quality that the recommendation asks for, and what to call it.
        named: whether names stand beside the points.
    """
    drawing, unnamed = _drawing(points, width, height, limit, named)
    return svg(drawing, width, height, "Quality against latency", _words(points)), unnamed


def pareto_file(points: Sequence[Point], limit: tuple[float, str] | None, title: str, note: str) -> str:
    """Draw the chart as a separate file, light or dark as the reader's screen is."""
    width, height = 880, 520
    drawing, _ = _drawing(points, width - 48, height - 108, limit, named=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="title words">\n<title id="title">{escape(title)}</title>\n'
        f'<desc id="words">{escape(_words(points))}</desc>\n<style>{_OWN_STYLE}{STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>\n'
        f'<text class="title" x="24" y="38">{escape(title)}</text>\n'
        f'<svg x="24" y="60" width="{width - 48}" height="{height - 108}">{drawing}</svg>\n'
        f'<text x="24" y="{height - 18}">{escape(note)}</text>\n</svg>\n'
    )


_OWN_STYLE = """
svg { --paper: #fff; --ink: #1b1f24; --soft: #5c6570; --line: #dfe3e8; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0f1318; --ink: #e6e9ed; --soft: #98a2ae; --line: #2a313a; }
}
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.card { fill: var(--paper); stroke: var(--line); }
.plot .title { font-size: 17px; font-weight: 650; fill: var(--ink); }
"""


def _drawing(
    points: Sequence[Point], width: float, height: float, limit: tuple[float, str] | None, named: bool
) -> tuple[str, list[Point]]:
    frame = Frame(*_axes(points, limit, narrow=width < 500), width, height)
    largest = max(point.size_bytes for point in points)
    parts = [frame.axes(), _front(front(points), frame)]
    if limit is not None:
        y, end = frame.py(limit[0]), width - frame.right
        parts.append(f'<line class="limit" x1="{frame.left}" x2="{end}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="limit-label" x="{end}" y="{y + 15}" text-anchor="end">{escape(limit[1])}</text>')
    radii = [_radius(point.size_bytes, largest) for point in points]
    for point, radius in sorted(zip(points, radii, strict=True), key=lambda pair: (pair[0].chosen, -pair[1])):
        x, y = frame.px(point.latency_ms), frame.py(point.quality)
        ring = f'<circle class="ring" cx="{x}" cy="{y}" r="{_ring(radius):.1f}"/>' if point.chosen else ""
        parts.append(
            f'<g class="c{point.style % COLOURS}"><title>{escape(facts(point))}</title>{ring}'
            f"{mark(point.style, x, y, radius)}</g>"
        )
    labels, unnamed = _labels(points, radii, frame, limit) if named else ([], list(points))
    return "".join(parts + labels), unnamed


def _axes(points: Sequence[Point], limit: tuple[float, str] | None, narrow: bool) -> tuple[Axis, Axis]:
    qualities = [point.quality for point in points] + ([limit[0]] if limit else [])
    words = "median latency, ms" if narrow else "median latency of one request, ms (logarithmic; less is better)"
    x = log_axis((point.latency_ms for point in points), words, air=1.6)
    y = linear_axis(qualities, "NDCG@10 (more is better)", least=MIN_SPAN * max(qualities), air=0.17)
    return x, y


def _front(points: Sequence[Point], frame: Frame) -> str:
    """Draw the front as stairs from the fastest to the best point, and the area that it dominates."""
    floor, end = frame.height - frame.bottom, frame.width - frame.right
    path = f"M{frame.px(points[0].latency_ms)},{floor}"
    for point in points:
        path += f"H{frame.px(point.latency_ms)}V{frame.py(point.quality)}"
    return f'<path class="beaten" d="{path}H{end}V{floor}Z"/><path class="front" d="{path}H{end}"/>'


def _labels(
    points: Sequence[Point], radii: Sequence[float], frame: Frame, limit: tuple[float, str] | None
) -> tuple[list[str], list[Point]]:
    """Draw the names beside the points without overlap; return them with the points that have no room."""
    area = Box(frame.left + 2, frame.top - 10, frame.width - 2, frame.height - frame.bottom - 2)
    places = [(frame.px(point.latency_ms), frame.py(point.quality)) for point in points]
    reach = [_ring(radius) if point.chosen else radius for point, radius in zip(points, radii, strict=True)]
    occupied = [Box(x - r, y - r, x + r, y + r) for (x, y), r in zip(places, reach, strict=True)]
    lines = []  # better not covered, either
    if limit is not None:
        y, end = frame.py(limit[0]), frame.width - frame.right
        occupied.append(Box(end - text_width(limit[1], 12.5), y + 3, end, y + 19))
        lines.append(Box(frame.left, y - 1, end, y + 1))
    best = front(points)
    parts, unnamed = [], []
    for i in sorted(range(len(points)), key=lambda i: (not points[i].chosen, points[i] not in best, places[i])):
        texts = (points[i].label, _detail(points[i]))
        width = max(text_width(texts[0], 13), text_width(texts[1], 11.5))
        clear = reach[i] + 4
        found = place_label(*places[i], clear, width, 30, [*occupied, *lines], area)
        found = found or place_label(*places[i], clear, width, 30, occupied, area)
        if found is None:
            unnamed.append(points[i])
        else:
            box, anchor, far = found
            occupied += [box, *(leader(*places[i], box) if far else [])]
            parts.append(_label(places[i], texts, box, anchor, far))
    return parts, unnamed


def _label(place: tuple[float, float], texts: Sequence[str], box: Box, anchor: str, far: bool) -> str:
    """Draw lines of text in a box, joined to their point if it is far away."""
    x, y = place
    text_x = {"start": box.left, "middle": (box.left + box.right) / 2, "end": box.right}[anchor]
    drawing = ""
    if far:
        edge_x, edge_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        drawing = f'<line class="leader" x1="{x}" y1="{y}" x2="{edge_x:.1f}" y2="{edge_y:.1f}"/>'
    for number, (text, css) in enumerate(zip(texts, ("name", "detail"), strict=True)):
        start = f'<text class="{css}" x="{text_x:.1f}" y="{box.top + 12 + 15 * number:.1f}" text-anchor="{anchor}">'
        drawing += f"{start}{escape(text)}</text>"
    return drawing


def _radius(size: float, largest: float) -> float:
    """Return the radius of a mark whose area is proportional to the size, with a visible minimum."""
    return max(3.5, 12 * math.sqrt(size / largest))


def _ring(radius: float) -> float:
    """Of the ring around a mark, whose corners reach beyond its radius."""
    return radius * 1.3 + 5


def _detail(point: Point) -> str:
    return f"{milliseconds(point.latency_ms)} ms · {megabytes(point.size_bytes)} MB"


def facts(point: Point) -> str:
    """Describe a point in words."""
    return f"{point.label}: NDCG@10 {point.quality:.4f}, {_detail(point)}"


def _words(points: Sequence[Point]) -> str:
    return "On the front: " + "; ".join(facts(point) for point in front(points)) + "."
