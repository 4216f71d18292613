"""The measured rows as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lightrec.terminal import styled

Row = dict[str, Any]

MIN_NAME = 14
"""Columns that a name has at least."""


def speed_table(rows: Sequence[Row]) -> Table:
    """Two lines a variant: the whole call, throughput, size and quality; below, the graph alone and the load time.

    Args:
        rows: of :func:`lightrec.benchmarks.measure.bench`, of one bundle or several on the same data.

    The best of each column is bold. Figures are never cut: where it is narrow, names take two lines. Absent variants
    are left to :func:`absent_lines`.
    """
    measured = [row for row in rows if row["kind"] == "speed"]
    first = measured[0]
    bundles = ", ".join(dict.fromkeys(row["bundle"] for row in measured))
    table = Table(
        title=f"{bundles} on {first['data']['name']}, {first['n_items']:,} items, {threads(first)}",
        caption=_caption(first),
        box=box.SIMPLE_HEAD,
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    below = "teacher" if first.get("teacher") else "change"
    table.add_column(styled("whole call\n[dim]graph alone[/]"), min_width=MIN_NAME, vertical="bottom")
    for title in (
        "p50\nms",
        "p90\nms",
        "p99\nms",
        "×",
        "per s\n1 by 1",
        "by 32\n[dim]by 256[/]",
        "MB\n[dim]load[/]",
        f"NDCG\n[dim]{below}[/]",
    ):
        table.add_column(styled(title), justify="right", no_wrap=True, vertical="bottom")
    upper = _columns(measured)
    lower = _lower_columns(measured)
    for place, row in enumerate(measured):
        table.add_row(row["variant"], *(column[place] for column in upper))
        table.add_row(Text("  graph alone", style="dim"), *(column[place] for column in lower), end_section=True)
    return table


def absent_lines(rows: Sequence[Row]) -> list[str]:
    """A sentence for each variant that could not run here, with the way to get it."""
    return [f"{row['variant']}: {row['reason']}" for row in absent(rows)]


def absent(rows: Sequence[Row]) -> list[Row]:
    """The rows of what could not run, but for what another run among the rows did measure; then what failed later.

    >>> names = [("speed", "torch fp32"), ("absent", "torch"), ("absent", "OpenVINO")]
    >>> [row["variant"] for row in absent([{"kind": kind, "variant": name} for kind, name in names])]
    ['OpenVINO']
    >>> absent([{"kind": "speed", "variant": "torch fp32", "failed": {"server": "torch fp32 failed: MemoryError"}}])
    [{'variant': 'torch fp32, server', 'reason': 'torch fp32 failed: MemoryError'}]
    """
    measured = [row for row in rows if row["kind"] == "speed"]
    missing = [row for row in rows if row["kind"] == "absent"]
    return [
        *(row for row in missing if not any(covers(row["variant"], other["variant"]) for other in measured)),
        *(
            {"variant": f"{row['variant']}, {scenario}", "reason": reason}
            for row in measured
            for scenario, reason in (row.get("failed") or {}).items()
        ),
    ]


def covers(absent: str, variant: str) -> bool:
    """Whether the name of something absent is that of a variant, or of the runtime and device that it runs on.

    >>> stands_for("ONNX Runtime CUDA", "ONNX Runtime CUDA int8"), stands_for("torch", "torch.compile fp32")
    (True, False)
    """
    return f"{variant} ".startswith(f"{absent} ")


def milliseconds(value: float) -> str:
    """Three digits that count.

    >>> milliseconds(0.0634), milliseconds(1.234), milliseconds(9.997), milliseconds(1234.5)
    ('0.063', '1.23', '10.0', '1,234')
    """
    decimals = next((digits for limit, digits in ((0.9995, 3), (9.995, 2), (99.95, 1)) if value < limit), 0)
    return f"{value:,.{decimals}f}"


def megabytes(size: float) -> str:
    """Megabytes (10^6) with two digits that count, at least.

    >>> megabytes(774_000), megabytes(12_345_678)
    ('0.77', '12.3')
    """
    return f"{size / 1e6:.2f}" if size < 10e6 else f"{size / 1e6:.1f}"


def times(ratio: float) -> str:
    """How many times as fast.

    >>> times(1.04), times(12.34)
    ('1.0×', '12×')
    """
    return f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


def drop(quality: Row | None) -> str:
    """The relative change of NDCG@10: a loss is negative; empty where it was not measured.

    >>> drop({"ndcg_drop": 0.0012}), drop(None)
    ('-0.12%', '')
    """
    if quality is None or quality["ndcg_drop"] is None:
        return ""
    change = round(-100 * quality["ndcg_drop"], 2)
    return f"{change:+.2f}%" if change else "0.00%"


def of_teacher(row: Row) -> str:
    """The share of the teacher's NDCG@10 that is kept; empty where none was asked.

    >>> of_teacher({"quality": {"of_teacher": 0.9968}}), of_teacher({"quality": None})
    ('99.7%', '')
    """
    share = (row.get("quality") or {}).get("of_teacher")
    return "" if share is None else f"{share:.1%}"


def latency(row: Row, probe: str, figure: str) -> float | None:
    """One figure of a speed row, in milliseconds; None where the probe was not timed."""
    return (row["latency_ms"].get(probe) or {}).get(figure)


def speedup(row: Row, probe: str) -> float | None:
    """How many times as fast as the first variant; None where the probe was not timed."""
    return ((row["latency_ms"].get(probe) or {}).get("speedup") or {}).get("value")


def _columns(rows: Sequence[Row]) -> list[list[Text]]:
    """The cells of the upper lines, column by column."""
    latencies = [
        _cells([latency(row, "recommend", figure) for row in rows], milliseconds, min)
        for figure in ("p50", "p90", "p99")
    ]
    speedups = _cells([speedup(row, "recommend") for row in rows], times, max)
    throughputs = [
        _cells([(row["per_second"] or {}).get(batch) for row in rows], per_second, max) for batch in ("1", "32")
    ]
    sizes = _cells([row["size_bytes"] for row in rows], megabytes, min)
    ndcg = _cells([row["quality"] and row["quality"]["ndcg@10"]["value"] for row in rows], "{:.4f}".format, max)
    return [*latencies, speedups, *throughputs, sizes, ndcg]


def _lower_columns(rows: Sequence[Row]) -> list[list[Text]]:
    latencies = [
        _cells([latency(row, "graph", figure) for row in rows], milliseconds, min, "dim")
        for figure in ("p50", "p90", "p99")
    ]
    speedups = _cells([speedup(row, "graph") for row in rows], times, max, "dim")
    loads = _cells([row["load_ms"] for row in rows], milliseconds, min, "dim")
    changes = [Text(of_teacher(row) if row.get("teacher") else drop(row["quality"]), style="dim") for row in rows]
    throughput = _cells([(row["per_second"] or {}).get("256") for row in rows], per_second, max, "dim")
    return [*latencies, speedups, [Text("") for _ in rows], throughput, loads, changes]


def _cells(
    values: Sequence[float | None],
    write: Callable[[float], str],
    best: Callable[[Sequence[float]], float],
    style: str = "",
) -> list[Text]:
    """The values as text, those that read like the best one in bold; nothing is bold where all are alike."""
    texts = ["" if value is None else write(value) for value in values]
    known = [value for value in values if value is not None]
    winner = write(best(known)) if known else ""
    alike = len(set(texts)) == 1
    return [Text(text, style=f"{style} bold green" if text == winner and not alike else style) for text in texts]


def per_second(value: float) -> str:
    """Histories a second, in five characters.

    >>> per_second(862.4), per_second(3422), per_second(26_372), per_second(151_000)
    ('862', '3,422', '26.4k', '151k')
    """
    return f"{value:,.0f}" if value < 10e3 else f"{value / 1e3:.1f}k" if value < 100e3 else f"{value / 1e3:.0f}k"


def _caption(row: Row) -> str:
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


def threads(row: Row) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def machine_line(row: Row) -> str:
    """The machine in a few words: processor, cores, memory, system."""
    machine = row["machine"]
    memory = machine["memory_bytes"]
    parts = [
        machine["processor"] or "unknown processor",
        f"{machine['usable_cores']:g} cores usable",
        "" if memory is None else f"{memory / 2**30:.0f} GiB",
        machine["system"],
    ]
    return ", ".join(part for part in parts if part)
