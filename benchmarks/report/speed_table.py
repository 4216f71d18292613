"""Build the table of ``lightrec bench`` for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table as RichTable

from lightrec.benchmarks.report.columns import value
from lightrec.benchmarks.report.tables.formats import (
    drop,
    machine_line,
    megabytes,
    milliseconds,
    of_teacher,
    per_second,
    threads,
    times,
)
from lightrec.benchmarks.report.tables.render_terminal import terminal_table
from lightrec.benchmarks.report.tables.table import Column, Table, number_column, text_column
from lightrec.benchmarks.row_types import Row, SpeedRow, rows_of_kind

PERCENTILES = ("p50", "p90", "p99")


def speed_table(rows: Sequence[Row]) -> RichTable:
    """Show two lines for each variant: the whole call, and below it the graph alone.

    Args:
        rows: of :func:`lightrec.benchmarks.measure.bench`, of one bundle or several on the same data.

    The best value of each column is highlighted. Numbers are never cut: where the terminal is narrow, names take two
    lines. Absent variants are left to :func:`lightrec.benchmarks.report.absent.absent_lines`.
    """
    measured = rows_of_kind(rows, "speed")
    first = measured[0]
    bundles = ", ".join(dict.fromkeys(row["bundle"] for row in measured))
    return terminal_table(
        whole_calls(measured),
        graphs_alone(measured),
        title=f"{bundles} on {first['data']['name']}, {first['n_items']:,} items, {threads(first)}",
        caption=_caption(first),
        title_style="bold",
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )


def whole_calls(rows: Sequence[SpeedRow]) -> Table:
    """Build the upper lines: latency from ids to titles, throughput, size and quality."""
    return Table(
        [
            text_column("whole call", [row["variant"] for row in rows]),
            *(
                _numbers(rows, f"{name}\nms", milliseconds, min, "latency_ms", "recommend", name)
                for name in PERCENTILES
            ),
            _numbers(rows, "×", times, max, "latency_ms", "recommend", "speedup", "value"),
            _numbers(rows, "per s\n1 by 1", per_second, max, "per_second", "1"),
            _numbers(rows, "by 32", per_second, max, "per_second", "32"),
            _numbers(rows, "MB", megabytes, min, "size_bytes"),
            _numbers(rows, "NDCG", "{:.4f}".format, max, "quality", "ndcg@10", "value"),
        ]
    )


def graphs_alone(rows: Sequence[SpeedRow]) -> Table:
    """Build the lower lines: latency of the graph, throughput in large batches, load time, change of quality."""
    taught = bool(rows[0].get("teacher"))
    changes = [of_teacher(row) if row.get("teacher") else drop(row["quality"]) for row in rows]
    return Table(
        [
            text_column("graph alone", ["  graph alone"] * len(rows)),
            *(_numbers(rows, "", milliseconds, min, "latency_ms", "graph", name) for name in PERCENTILES),
            _numbers(rows, "", times, max, "latency_ms", "graph", "speedup", "value"),
            text_column("", [""] * len(rows)),
            _numbers(rows, "by 256", per_second, max, "per_second", "256"),
            _numbers(rows, "load", milliseconds, min, "load_ms"),
            text_column("teacher" if taught else "change", changes),
        ]
    )


def _numbers(
    rows: Sequence[SpeedRow],
    label: str,
    write: Callable[[float], str],
    best: Callable[[Sequence[float]], float],
    *path: str,
) -> Column:
    return number_column(label, [value(row, *path) for row in rows], write, best, missing="")


def _caption(row: SpeedRow) -> str:
    data, quality = row["data"], row["quality"]
    over = row["latency_ms"]["recommend"]["speedup"]["over"]
    lines = [
        f"{data['histories']:,} histories, median length {data['median_length']:g}: {data['source']}.",
        f"×: times as fast as {over}. Load in ms. Per s: histories, 1, 32 or 256 a call.",
    ]
    if quality:
        below = f"change from {quality['compared_with']}"
        if teacher := row.get("teacher"):
            below = f"below, its share of {teacher['ndcg@10']['value']:.4f}, the teacher's ({teacher['name']})"
        lines.append(f"NDCG@10 on {quality['cases']:,} test cases; {below}.")
    return "\n".join([*lines, machine_line(row)])
