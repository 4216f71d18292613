"""One self-contained HTML page of measured rows: no network, light and dark, for wide and narrow screens and paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from lightrec.benchmarks.figures import ci_bar, latency_bar, size_bar
from lightrec.benchmarks.tables import drop, machine_line, megabytes, milliseconds, per_second, times
from lightrec.errors import DataError
from lightrec.files import write_text

Row = dict[str, Any]

ALLOWED_DROP = 0.01
"""The summary recommends the fastest variant that keeps all but this share of NDCG@10."""

QUALITY_COLUMNS = ("hr@10", "mrr", "mrr@100", "coverage@10")
"""Shown beside NDCG@10, as far as a row has them."""


def write_report(
    path: str | Path, quality_rows: Sequence[Row] = (), bench_rows: Sequence[Row] = (), title: str = "lightrec report"
) -> None:
    """Write the page.

    Args:
        path: HTML file to write; its folder is made if need be.
        quality_rows: what ``lightrec evaluate --json`` prints, each with a ``label`` besides: at least
            ``{"label": ..., "metrics": {"ndcg@10": {"value": ..., "low": ..., "high": ...}}}``.
        bench_rows: of :func:`lightrec.benchmarks.measure.bench`.
        title: of the page.

    Raises:
        DataError: if there are no rows at all.
    """
    speed = [row for row in bench_rows if row["kind"] == "speed"]
    if not quality_rows and not speed:
        raise DataError(f"There is no row to report: measure something first, and then write {path}.")
    sections = []
    if quality_rows:
        sections.append(_quality_section(quality_rows))
    if speed:
        absent = [row for row in bench_rows if row["kind"] == "absent"]
        sections += [_latency_section(speed, absent), _footprint_section(speed), _machine_section(speed)]
    claim = summary(speed) if speed else quality_summary(quality_rows)
    template = Template(files("lightrec.benchmarks").joinpath("report_template.html").read_text(encoding="utf-8"))
    page = template.substitute(title=escape(title), claim=escape(claim), sections="\n".join(sections))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), page)


def summary(rows: Sequence[Row]) -> str:
    """The recommendation in one sentence: the fastest variant that keeps the quality."""
    first = rows[0]
    keeping = [row for row in rows if ((row["quality"] or {}).get("ndcg_drop") or 0.0) <= ALLOWED_DROP]
    chosen = min(keeping, key=lambda row: row["latency_ms"]["recommend"]["p50"])
    facts = [f"{milliseconds(chosen['latency_ms']['recommend']['p50'])} ms from ids to titles"]
    if chosen is not first:
        facts[0] += f" ({times(chosen['latency_ms']['recommend']['speedup']['value'])} as fast as {first['variant']})"
        if chosen["quality"] and chosen["quality"]["ndcg_drop"] is not None:
            facts.append(f"{1 - chosen['quality']['ndcg_drop']:.1%} of its NDCG@10")
    return f"On this machine take {chosen['variant']}: {', '.join([*facts, megabytes(chosen['size_bytes']) + ' MB'])}."


def quality_summary(rows: Sequence[Row]) -> str:
    """Which model ranks best, in one sentence."""
    best = max(rows, key=lambda row: row["metrics"]["ndcg@10"]["value"])
    return f"Of {len(rows)} models {best['label']} ranks best: NDCG@10 {_interval(best['metrics']['ndcg@10'])}."


def _quality_section(rows: Sequence[Row]) -> str:
    shown = [name for name in QUALITY_COLUMNS if any(name in row["metrics"] for row in rows)]
    values = [row["metrics"]["ndcg@10"] for row in rows]
    limit = max(value["high"] or value["value"] for value in values)
    columns = [
        ("model", [_cell(escape(row["label"])) for row in rows]),
        ("", [_cell(ci_bar(value, limit), css="chart") for value in values]),
        (
            "NDCG@10",
            _best_cells("NDCG@10", [value["value"] for value in values], "{:.4f}".format, max, _ranges(values)),
        ),
    ]
    for name in shown:
        label = "Coverage@10" if name.startswith("coverage") else name.upper()
        found = [row["metrics"].get(name, {}).get("value") for row in rows]
        columns.append((label, _best_cells(label, found, "{:.4f}".format, max)))
    return _section(
        "Quality",
        f"{escape(quality_summary(rows))} The whole catalogue is ranked for every user; higher is better."
        + _legend(light="NDCG@10", line="95 % interval over users"),
        _table(columns),
    )


def _latency_section(rows: Sequence[Row], absent: Sequence[Row]) -> str:
    calls = [row["latency_ms"]["recommend"] for row in rows]
    graphs = [row["latency_ms"]["graph"] for row in rows]
    limit = max(call["p99"] for call in calls)
    columns = [
        ("one request", [_cell(escape(row["variant"])) for row in rows]),
        ("", [_cell(latency_bar(*pair, limit), css="chart") for pair in zip(calls, graphs, strict=True)]),
    ]
    for figure in ("p50", "p90", "p99"):
        label = f"{figure}, ms"
        columns.append((label, _best_cells(label, [call[figure] for call in calls], milliseconds, min)))
    label = "speed-up"
    spreads = ["", *(f"{call['speedup']['low']:.1f}–{call['speedup']['high']:.1f}" for call in calls[1:])]
    columns.append((label, _best_cells(label, [call["speedup"]["value"] for call in calls], times, max, spreads)))
    columns.append(
        ("graph p50, ms", _best_cells("graph p50, ms", [graph["p50"] for graph in graphs], milliseconds, min))
    )
    missing = "".join(
        f'<tr class="absent"><td>{escape(row["variant"])}</td><td colspan="{len(columns) - 1}">'
        f"absent, {escape(row['reason'])}</td></tr>"
        for row in absent
    )
    data = rows[0]["data"]
    return _section(
        "Latency",
        f"From raw ids to titles, one history a call: {data['histories']:,} histories of {escape(data['name'])} "
        f"({escape(data['source'])}), median length {data['median_length']:g}. "
        f"Speed-up is over {escape(rows[0]['variant'])}."
        + _legend(strong="graph alone, p50", light="whole call, p50", line="to p99"),
        _table(columns, missing),
    )


def _footprint_section(rows: Sequence[Row]) -> str:
    sizes = [row["size_bytes"] for row in rows]
    columns = [
        ("variant", [_cell(escape(row["variant"])) for row in rows]),
        ("", [_cell(size_bar(size, max(sizes)), css="chart") for size in sizes]),
        ("size,\u00a0MB", _best_cells("size,\u00a0MB", sizes, megabytes, min)),
        ("load,\u00a0ms", _best_cells("load,\u00a0ms", [row["load_ms"] for row in rows], milliseconds, min)),
    ]
    for batch in rows[0]["per_second"]:
        label = f"batch\u00a0{batch},\u00a0/s"
        columns.append((label, _best_cells(label, [row["per_second"][batch] for row in rows], per_second, max)))
    note = "Size is what a device needs: model, ids and manifest, without titles. Throughput is in histories a second."
    if rows[0]["quality"]:
        ndcg = [row["quality"]["ndcg@10"]["value"] for row in rows]
        changes = [drop(row["quality"]) for row in rows]
        columns.append(("NDCG@10", _best_cells("NDCG@10", ndcg, "{:.4f}".format, max, changes)))
        quality = rows[0]["quality"]
        note += (
            f" NDCG@10 is of {quality['cases']:,} test cases, with its change from {escape(quality['compared_with'])}."
        )
    return _section("Size, throughput and quality kept", note, _table(columns))


def _machine_section(rows: Sequence[Row]) -> str:
    row = rows[0]
    bundles = ", ".join(dict.fromkeys(row["bundle"] for row in rows))
    commands = "\n".join(dict.fromkeys(row["command"] for row in rows))
    packages = ", ".join(f"{name} {version}" for name, version in row["machine"]["packages"].items())
    checksum = f", checksum {row['data']['checksum'][:12]}" if row["data"]["checksum"] else ""
    facts = {
        "Machine": machine_line(row),
        "Processor features": ", ".join(row["machine"]["features"] or []) or "not told",
        "Threads": str(row["threads"]),
        "Versions": f"Python {row['machine']['python']}, {packages}",
        "Commit": row["commit"] or "not in a checkout",
        "Bundle": f"{bundles}: {row['model_type']}, {row['n_items']:,} items",
        "Data": row["data"]["name"] + checksum,
        "Measured": row["time"],
    }
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    note = (
        "All variants of a command in one process, in turns, round by round, after a warm-up; the same histories for "
        "all; nothing left out. Ratios are taken within each round: their median, with the quartiles."
    )
    return _section("How it was measured", note, f"<dl>{pairs}</dl><pre>{escape(commands)}</pre>")


def _section(title: str, note: str, content: str) -> str:
    return f'<section>\n<h2>{title}</h2>\n<p class="note">{note}</p>\n{content}\n</section>'


def _legend(**meanings: str) -> str:
    """What the colours of a drawing stand for, by their class in the template."""
    return "".join(
        f' <span class="legend"><span class="key {css}"></span>{meaning}</span>' for css, meaning in meanings.items()
    )


def _table(columns: Sequence[tuple[str, list[str]]], more: str = "") -> str:
    heads = "".join(f"<th>{escape(name)}</th>" if name else '<th class="chart"></th>' for name, _ in columns)
    lines = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*(cells for _, cells in columns), strict=True))
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n{more}</tbody>\n</table>"


def _cell(content: str, label: str = "", css: str = "") -> str:
    attributes = (f' data-label="{escape(label)}"' if label else "") + (f' class="{css}"' if css else "")
    return f"<td{attributes}>{content}</td>"


def _best_cells(
    label: str,
    values: Sequence[float | None],
    write: Callable[[float], str],
    best: Callable[[Sequence[float]], float],
    details: Sequence[str] | None = None,
) -> list[str]:
    """One cell a value, with a small detail below it; those that read like the best stand out."""
    texts = ["–" if value is None else write(value) for value in values]
    winner = write(best([value for value in values if value is not None]))
    alike = len(set(texts)) == 1
    cells = []
    for text, detail in zip(texts, details or [""] * len(texts), strict=True):
        number = f'<span class="best">{text}</span>' if text == winner and not alike else text
        cells.append(_cell(number + (f"<small>{escape(detail)}</small>" if detail else ""), label))
    return cells


def _ranges(values: Sequence[Row]) -> list[str]:
    return ["" if value["low"] is None else f"{value['low']:.4f}–{value['high']:.4f}" for value in values]


def _interval(value: Row) -> str:
    return f"{value['value']:.4f}" + ("" if value["low"] is None else f" ({value['low']:.4f}–{value['high']:.4f})")
