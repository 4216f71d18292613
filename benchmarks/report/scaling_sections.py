"""Write the report's sections with curves: batches, load, streams, catalogue size, threads, time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightrec.benchmarks.report.charts.axes import linear_axis, log_axis, short
from lightrec.benchmarks.report.charts.line_chart import Line, legend, line_chart
from lightrec.benchmarks.report.columns import value
from lightrec.benchmarks.report.tables.formats import milliseconds, per_second
from lightrec.benchmarks.report.tables.render_html import figure, html_column, name_cell, section, table
from lightrec.benchmarks.report.tables.table import number_column
from lightrec.benchmarks.row_types import CatalogueRow, Row

Named = Sequence[tuple[str, Row]]
"""Rows with their labels; the place in the sequence is the variant's style."""


def throughput_section(named: Named) -> str:
    """Show throughput by batch and by stream, and latency under load; empty if none was measured."""
    return _curves("Throughput and load", named, [_batches(named), _load(named), _streams(named)])


def scaling_section(named: Named, catalogue: Sequence[CatalogueRow]) -> str:
    """Show latency by catalogue size and by threads; empty if neither was measured."""
    known = [row["variant"] for _, row in named]
    more = dict.fromkeys(row["variant"] for row in catalogue if row["variant"] not in known)
    every: Named = [*named, *((variant, {"variant": variant}) for variant in more)]
    return _curves("Scaling", every, [_catalogue(every, catalogue), _threads(named)])


def soak_section(named: Named) -> str:
    """Show latency and memory over minutes without pause; empty if not measured."""
    return _curves(
        "Without rest",
        named,
        [
            _slices(named, "p50_ms", 1.0, "Latency over time", "calls without a pause", "p50, ms", milliseconds),
            _slices(named, "rss_bytes", 1e6, "Memory over time", "of the process", "MB", "{:.1f}".format),
        ],
    )


def _curves(title: str, named: Named, figures: Sequence[tuple[str, set[int]]]) -> str:
    """Return a section of the available figures, under one legend of their variants."""
    shown = set().union(*(styles for _, styles in figures))
    if not shown:
        return ""
    entries = [(name, style) for style, (name, _) in enumerate(named) if style in shown]
    grid = "".join(drawing for drawing, _ in figures)
    return section(title, "", f'{legend(entries)}\n<div class="grid">{grid}</div>')


def _batches(named: Named) -> tuple[str, set[int]]:
    points = [[(float(size), rate) for size, rate in (row.get("per_second") or {}).items()] for _, row in named]
    return _figure(
        named, [sorted(own) for own in points],
        "Throughput by batch", "more is better", "batch size", "histories a second", per_second, ticked=True,
    )  # fmt: skip


def _load(named: Named) -> tuple[str, set[int]]:
    curves = [value(row, "server", "curve") or [] for _, row in named]
    bounds = {value(row, "server", "p99_bound_ms") for _, row in named} - {None}
    bound = min(bounds) if bounds else None
    return _figure(
        named, [[(point["rate"], point["p99"]) for point in curve if point["p99"]] for curve in curves],
        "Latency under load", "requests arrive at random, whether or not earlier ones are answered",
        "requests a second", "p99, ms", milliseconds,
        limit=None if bound is None else (bound, f"bound: {short(bound)} ms"),
    )  # fmt: skip


def _streams(named: Named) -> tuple[str, set[int]]:
    points = [[(p["streams"], p["per_second"]) for p in row.get("streams") or []] for _, row in named]
    return _figure(
        named, points, "Parallel streams", "callers at once; more is better",
        "streams", "histories a second", per_second, ticked=True,
    )  # fmt: skip


def _catalogue(named: Named, rows: Sequence[CatalogueRow]) -> tuple[str, set[int]]:
    points: list[list[tuple[float, float]]] = [[] for _ in named]
    variants = [row["variant"] for _, row in named]
    for row in rows:
        points[variants.index(row["variant"])].append((float(row["n_items"]), row["latency_ms"]["p50"]))
    points = [sorted(own) for own in points]
    return _figure(
        named, points, "Latency by catalogue size", "one request, random weights; less is better",
        "items", "p50, ms", milliseconds, ticked=True,
    )  # fmt: skip


def _threads(named: Named) -> tuple[str, set[int]]:
    points = [[(p["threads"], p["p50"]) for p in row.get("threads_scaling") or []] for _, row in named]
    return _figure(
        named, points, "Latency by threads", "one request; less is better", "threads", "p50, ms", milliseconds,
        ticked=True,
    )  # fmt: skip


def _slices(
    named: Named, key: str, unit: float, title: str, note: str, label: str, write: Callable[[float], str]
) -> tuple[str, set[int]]:
    """Draw one value for each slice of the time, at its end."""
    points = []
    for _, row in named:
        values, seconds = value(row, "soak", key) or [], value(row, "soak", "seconds")
        points.append([(seconds * (i + 1) / len(values), v / unit) for i, v in enumerate(values) if v is not None])
    return _figure(named, points, title, note, "seconds", label, write)


def _figure(
    named: Named,
    points: Sequence[Sequence[tuple[float, float]]],
    title: str,
    note: str,
    x_label: str,
    y_label: str,
    write: Callable[[float], str],
    ticked: bool = False,
    limit: tuple[float, str] | None = None,
) -> tuple[str, set[int]]:
    """Return the chart with its table, and the styles of its variants; empty with fewer than two places.

    ``ticked`` labels the measured places of the horizontal axis, and no others.
    """
    lines = [Line(named[style][0], style, own) for style, own in enumerate(points) if own]
    places = sorted({x for line in lines for x, _ in line.points})
    if len(places) < 2:
        return "", set()
    heights = [y for line in lines for _, y in line.points] + ([limit[0]] if limit else [])
    tall = max(heights) > 5 * min(heights)
    y = log_axis(heights, y_label) if tall else linear_axis(heights, y_label, zero=True)
    spread = places[-1] > 5 * places[0]
    ticks = places if ticked and len(places) <= 7 else ()
    x = log_axis(places, x_label, air=1.15, least=1.5, ticks=ticks) if spread or ticks else linear_axis(places, x_label)
    words = f"{y_label} against {x_label} of {', '.join(line.label for line in lines)}."
    data = _data_table(title, (x_label, y_label), lines, places, write)
    return figure(title, note, line_chart(title, words, lines, x, y, limit), data), {line.style for line in lines}


def _data_table(
    title: str, labels: tuple[str, str], lines: Sequence[Line], places: Sequence[float], write: Callable[[float], str]
) -> str:
    """Return the numbers of a chart: one line per place and one column per variant.

    Where few places agree, the lines are each variant's own first, second... place, which stands below the figure.
    """
    if 2 * sum(len(line.points) for line in lines) > len(lines) * len(places):
        columns = [(labels[0], [name_cell(_number(place)) for place in places])]
        for line in lines:
            found = dict(line.points)
            columns.append(html_column(number_column(line.label, [found.get(place) for place in places], write)))
    else:
        most = max(len(line.points) for line in lines)
        columns = [(f"{labels[1]} at {labels[0]}", [name_cell(str(1 + number)) for number in range(most)])]
        for line in lines:
            own = [*line.points, *[None] * (most - len(line.points))]
            details = ["" if point is None else f"at {_number(point[0])}" for point in own]
            heights = [None if point is None else point[1] for point in own]
            columns.append(html_column(number_column(line.label, heights, write, details=details)))
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">{table(title, columns)}</div>'


def _number(place: float) -> str:
    """Format a place on the horizontal axis with three significant digits, or all of a whole number.

    >>> _number(256.0), _number(1_000_000.0), _number(122.0434), _number(1220.43)
    ('256', '1,000,000', '122', '1,220')
    """
    return f"{place:,.0f}" if place >= 100 or place == int(place) else f"{place:.3g}"
