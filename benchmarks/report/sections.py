"""Write the report's sections without curves: quality, Pareto front, latency, size, all figures, absent."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lightrec.benchmarks.harness.latency_statistics import MIN_SPEEDUP_DIFFERENCE
from lightrec.benchmarks.report.charts.axes import log_axis
from lightrec.benchmarks.report.charts.inline_charts import ci_bar, distribution, plain_bar, tick_row
from lightrec.benchmarks.report.charts.line_chart import legend
from lightrec.benchmarks.report.charts.pareto import Point, facts, pareto_chart
from lightrec.benchmarks.report.columns import SPEEDUP, Figure, figure_column, figures, teacher_words, value, verdict
from lightrec.benchmarks.report.recommendation import ALLOWED_DROP, choose, least_quality, ndcg
from lightrec.benchmarks.report.tables.formats import megabytes, milliseconds, times
from lightrec.benchmarks.report.tables.render_html import (
    cell,
    html_cells,
    html_column,
    key,
    name_cell,
    section,
    swatch,
    table,
)
from lightrec.benchmarks.report.tables.table import number_column
from lightrec.benchmarks.row_types import Estimate, Latency, QualityRow, Row, SpeedRow, Speedup

Named = Sequence[tuple[str, SpeedRow]]
"""Rows with the names that the report gives them."""

QUALITY_COLUMNS = ("hr@10", "mrr", "mrr@100", "coverage@10")
"""Shown beside NDCG@10, as far as a row has them."""


def quality_section(rows: Sequence[QualityRow], claim: str) -> str:
    """Show the models' quality as evaluated."""
    shown = [name for name in QUALITY_COLUMNS if any(name in row["metrics"] for row in rows)]
    values = [row["metrics"]["ndcg@10"] for row in rows]
    limit = max(value["high"] or value["value"] for value in values)
    numbers = [value["value"] for value in values]
    columns = [
        ("model", [name_cell(row["label"]) for row in rows]),
        ("", [cell(ci_bar(value, limit), css="chart") for value in values]),
        html_column(number_column("NDCG@10", numbers, "{:.4f}".format, max, [_range(value) for value in values])),
    ]
    for name in shown:
        label = "Coverage@10" if name.startswith("coverage") else name.upper()
        found = [value(row, "metrics", name, "value") for row in rows]
        columns.append(html_column(number_column(label, found, "{:.4f}".format, max)))
    note = f"{escape(claim)} The whole catalogue is ranked for every user; higher is better."
    return section(
        "Quality", note + key(light="NDCG@10", line="95% interval over users"), table("Quality by model", columns)
    )


def points(named: Named) -> list[Point]:
    """Return the rows that have a quality, as points of the chart."""
    chosen = choose([row for _, row in named])
    return [
        Point(name, row["latency_ms"]["recommend"]["p50"], quality, row["size_bytes"], style, row is chosen)
        for style, (name, row) in enumerate(named)
        if (quality := ndcg(row)) is not None and row["size_bytes"]
    ]


def quality_limit(named: Named) -> tuple[float, str] | None:
    """Return the minimum quality of the recommended variant, and its label in the chart."""
    limit = least_quality([row for _, row in named])
    over = list(dict.fromkeys(over for _, row in named if (over := value(row, "quality", "compared_with"))))
    if limit is None or not over:
        return None
    # Rows of several bundles are compared with a reference each; the best of them counts.
    return limit, f"{1 - ALLOWED_DROP:.0%} of {over[0] if len(over) == 1 else 'the best reference'}"


def pareto_section(named: Named) -> str:
    """Show quality against latency; empty if quality was not measured."""
    found, limit = points(named), quality_limit(named)
    if len(found) < 2:
        return ""
    (wide, unnamed), (narrow, _) = (pareto_chart(found, width, height, limit, named) for width, height, named in _SIZES)
    note = (
        "Up is better, left is faster; the larger a mark, the larger the model. What lies in the tinted area is beaten "
        "in both by a variant on its edge. The ring marks the recommended variant."
    )
    keys = [legend([(facts(point), point.style) for point in part], lines=False) for part in (unnamed, found)]
    pictures = f'<div class="wide">{wide}{keys[0]}</div>\n<div class="narrow">{narrow}{keys[1]}</div>'
    return section("Quality against latency", note, pictures)


_SIZES = ((880, 440, True), (360, 330, False))
"""Width, height and whether names are in it: the picture for wide screens, and that for narrow ones."""


def latency_section(named: Named) -> str:
    """Show the distribution of single-request latencies."""
    calls = [row["latency_ms"]["recommend"] for _, row in named]
    ends = [end for call in calls for end in (call["min"], call.get("p999") or call["p99"])]
    axis = log_axis((max(end, 1e-6) for end in ends), "ms", air=1.15)
    drawings = [cell(distribution(call, axis, style), css="chart") for style, call in enumerate(calls)]
    columns = [
        ("one request", [name_cell(name, style) for style, (name, _) in enumerate(named)]),
        ("", drawings),
    ]
    for label, path in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999")):
        if any(value(call, path) is not None for call in calls):
            head = f"{label},\u00a0ms"
            columns.append(html_column(number_column(head, [value(call, path) for call in calls], milliseconds, min)))
    numbers = [SPEEDUP.of(row) for _, row in named]
    if any(number is not None for number in numbers):
        spreads = [_spread(value(call, "speedup"), row) for call, (_, row) in zip(calls, named, strict=True)]
        columns.append(html_column(number_column(_SPEEDUP, numbers, times, max, spreads)))
    graphs = [value(row, "latency_ms", "graph", "p50") for _, row in named]
    if any(graph is not None for graph in graphs):
        columns.append(html_column(number_column(_GRAPH, graphs, milliseconds, min)))
    ticks = f'<tr class="axis-row" aria-hidden="true"><td></td><td class="chart">{tick_row(axis)}</td></tr>'
    return section("Latency", _latency_note(named[0][1], calls), table("Latency of one request", columns, ticks))


_SPEEDUP, _GRAPH = "speed\u2011up", "graph p50,\u00a0ms"
"""Heads that break only where they may."""


def footprint_section(named: Named) -> str:
    """Show size and memory as bars."""
    shown = [figure for figure in figures([row for _, row in named]) if figure.label in _BARS]
    shown.sort(key=lambda figure: _BARS.index(figure.label))
    columns = [("variant", [name_cell(name, style) for style, (name, _) in enumerate(named)])]
    for figure in shown:
        found = [figure.of(row) for _, row in named]
        label = figure.label + (", ms" if figure.group == "Latency, ms" else "")
        if figure.label in _DRAWN:
            most = max(size for size in found if size is not None)
            bars = [plain_bar(size, most, f"{megabytes(size or 0)} MB") for size in found]
            columns.append(("", [cell(bar, css="chart bars") for bar in bars]))
        columns.append(html_column(number_column(label, found, figure.write, figure.best)))
    note = "Size is what a device needs: model, ids and manifest, without titles."
    if any(figure.label.endswith("memory, MB") for figure in shown):
        note += " Memory is that of a fresh process, in MB of 10⁶ bytes."
    return section("Size and memory", note, table("Size and memory by variant", columns))


_DRAWN = ("size, MB", "peak memory, MB")
_BARS = (*_DRAWN, "steady memory, MB", "load", "start to first answer")
"""What is shown of size and memory, in this order; the first two as bars."""


def figures_section(named: Named) -> str:
    """Show every figure of every variant, one line per figure."""
    rows = [row for _, row in named]
    shown = figures(rows)
    heads = "".join(f'<th scope="col">{swatch(style)}{escape(name)}</th>' for style, (name, _) in enumerate(named))
    bodies = []
    for group in dict.fromkeys(figure.group for figure in shown):
        lines = "\n".join(_figure_line(figure, rows) for figure in shown if figure.group == group)
        title = f'<tr class="group"><th scope="rowgroup" colspan="{len(rows) + 1}">{escape(group)}</th></tr>'
        bodies.append(f"<tbody>\n{title}\n{lines}\n</tbody>")
    content = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="All figures">\n<table class="all">\n'
        f'<caption>All figures, one line each</caption>\n<thead><tr><th scope="col">figure</th>{heads}</tr></thead>\n'
        f"{''.join(bodies)}\n</table>\n</div>"
    )
    return section("All figures", escape(_quality_note(rows)), content)


def absent_section(absent: Sequence[Row]) -> str:
    """Show what could not run here, and how to get it; empty if all ran."""
    if not absent:
        return ""
    reasons = dict.fromkeys((row["variant"], row["reason"]) for row in absent)
    items = "".join(f"<dt>{escape(variant)}</dt><dd>{escape(reason)}</dd>" for variant, reason in reasons)
    return section("Not measured here", "", f"<dl>{items}</dl>")


def _figure_line(figure: Figure, rows: Sequence[SpeedRow]) -> str:
    cells = html_cells(figure_column(figure, rows, figure.label))
    return f'<tr><th scope="row">{escape(figure.label)}</th>{"".join(cells)}</tr>'


def _latency_note(row: SpeedRow, calls: Sequence[Latency]) -> str:
    data, over = row["data"], value(row, "latency_ms", "recommend", "speedup", "over")
    note = (
        f"From raw ids to titles, one history a call: {data['histories']:,} histories of {escape(data['name'])} "
        f"({escape(data['source'])}), median length {data['median_length']:g}."
    )
    if over:
        note += f" Speed-up is over {escape(over)}, with the quartiles over the rounds; there is no difference where "
        note += f"its 95% interval does not lie beyond 1 ± {MIN_SPEEDUP_DIFFERENCE:.0%}."
    shape = "The area shows how often each time occurred" if any(call.get("histogram") for call in calls) else ""
    lines = "long line: p50; short line: p99; logarithmic scale in ms."
    return f"{note} {shape}; {lines}" if shape else f"{note} {lines[0].upper()}{lines[1:]}"


def _quality_note(rows: Sequence[SpeedRow]) -> str:
    quality = next((row["quality"] for row in rows if row.get("quality")), None)
    if quality is None:
        return ""
    return (
        f"NDCG@10 of {quality['cases']:,} test cases, with its change from {quality['compared_with']}. "
        + "".join(f"The teacher {words}. " for words in dict.fromkeys(map(teacher_words, rows)) if words)
        + "The best of each line stands out."
    )


def _range(value: Estimate) -> str:
    return "" if value["low"] is None else f"{value['low']:.4f}–{value['high']:.4f}"


def _spread(speedup: Speedup | None, row: SpeedRow) -> str:
    """Describe the quartiles of a speed-up, and whether it is one; empty for the reference."""
    if speedup is None or speedup.get("over") == row["variant"]:
        return ""
    return ", ".join(filter(None, (f"{speedup['low']:.1f}–{speedup['high']:.1f}", verdict(row))))
