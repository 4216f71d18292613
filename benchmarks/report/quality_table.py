"""Build the table of the models' quality for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from rich.table import Table as RichTable

from lightrec.benchmarks.report.tables.formats import megabytes
from lightrec.benchmarks.report.tables.render_terminal import BEST, terminal_table
from lightrec.benchmarks.report.tables.table import Column, Table, number_column, text_column
from lightrec.benchmarks.row_types import QualityRow
from lightrec.terminal import styled

METRICS = {"HR@10": "hr@10", "MRR": "mrr", "coverage": "coverage@10"}
"""Shown beside NDCG@10: the label and the metric, or the beginning of its name."""


def quality_table(rows: Sequence[QualityRow]) -> RichTable:
    """Show one line for each label: means over its seeds, with one run's interval or the spread of the seeds."""
    groups: dict[str, list[QualityRow]] = {}
    for row in rows:
        groups.setdefault(row["label"], []).append(row)
    ndcg = [_mean(group, "ndcg@10") for group in groups.values()]
    return terminal_table(
        _columns(groups, ndcg),
        styles=[BEST if value == max(ndcg) else "" for value in ndcg],
        title=styled("[bold]Quality[/] on {data}", data=rows[0]["data"]),
        caption=f"Each of {rows[0]['cases']:,} users' last item, ranked among all items but those seen before; "
        "95 % intervals over users; with several seeds means, ± their standard deviation.",
    )


def _columns(groups: dict[str, list[QualityRow]], ndcg: Sequence[float]) -> Table:
    names = [label if len(group) == 1 else f"{label}, {len(group)} seeds" for label, group in groups.items()]
    columns = [
        text_column("", names),
        number_column("NDCG@10", ndcg, "{:.4f}".format),
        Column("95 %, ±", text_column("", [_spread(group) for group in groups.values()]).cells),
    ]
    for label, metric in METRICS.items():
        means = [_mean(group, metric) for group in groups.values()]
        columns.append(number_column(label, means, "{:.4f}".format))
    sizes = [
        next((row["deployed_bytes"] for row in group if "deployed_bytes" in row), None) for group in groups.values()
    ]
    if any(size is not None for size in sizes):
        columns.append(number_column("MB", sizes, megabytes, missing=""))
    return Table(columns)


def _mean(group: Sequence[QualityRow], metric: str) -> float:
    """Return the mean of a metric over seeds; a bundle's MRR names its limit, as in ``mrr@100``."""
    name = next(name for name in group[0]["metrics"] if name.startswith(metric))
    return fmean(row["metrics"][name]["value"] for row in group)


def _spread(group: Sequence[QualityRow]) -> str:
    if len(group) > 1:
        return f"±{stdev(row['metrics']['ndcg@10']['value'] for row in group):.4f}"
    interval = group[0]["metrics"]["ndcg@10"]
    return f"{interval['low']:.3f}–{interval['high']:.3f}"
