"""Write measured rows as one self-contained HTML page, light and dark, for screens and paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from lightrec.benchmarks.report.absent import absent
from lightrec.benchmarks.report.caveats import caveats
from lightrec.benchmarks.report.charts.line_chart import STYLE
from lightrec.benchmarks.report.charts.pareto import pareto_file
from lightrec.benchmarks.report.columns import labels
from lightrec.benchmarks.report.machine_section import machine_section
from lightrec.benchmarks.report.markdown_report import markdown_text
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.scaling_sections import scaling_section, soak_section, throughput_section
from lightrec.benchmarks.report.sections import (
    absent_section,
    figures_section,
    footprint_section,
    latency_section,
    pareto_section,
    points,
    quality_limit,
    quality_section,
)
from lightrec.benchmarks.report.tables.formats import machine_line
from lightrec.benchmarks.report.tables.render_csv import csv_text
from lightrec.benchmarks.row_types import QualityRow, Row, SpeedRow, rows_of_kind
from lightrec.errors import ConfigError, DataError
from lightrec.files.atomic import write_text
from lightrec.terminal import visible

FORMATS = (".html", ".md", ".csv")
"""What a report can be, by the suffix of its file."""


def write_rows_report(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows in the format of the suffix of ``path``: ``.html``, ``.md`` or ``.csv``.

    Raises:
        ConfigError: if the suffix is another.
        DataError: if there is nothing to report.
    """
    check_format(path)
    suffix, rows = Path(path).suffix, _shown(rows)
    if suffix == ".html":
        quality = rows_of_kind(rows, "quality")
        write_report(path, quality, rows)
        return
    if not any(row["kind"] == "speed" for row in rows):
        raise DataError(f"There is no speed row to report in {path}: measure a bundle with lightrec bench --out first.")
    _write(path, csv_text(rows) if suffix == ".csv" else markdown_text(rows))


def check_format(path: str | Path) -> None:
    """Refuse a report whose suffix is none of :data:`FORMATS`.

    Raises:
        ConfigError: naming those that there are.
    """
    if Path(path).suffix not in FORMATS:
        raise ConfigError(f"{path} is no kind of report: end its name in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")


def write_report(
    path: str | Path, quality_rows: Sequence[QualityRow] = (), bench_rows: Sequence[Row] = (), title: str | None = None
) -> None:
    """Write the page.

    Args:
        path: HTML file to write; its folder is made if need be.
        quality_rows: what ``lightrec evaluate --json`` prints, each with a ``label`` besides: at least
            ``{"label": ..., "metrics": {"ndcg@10": {"value": ..., "low": ..., "high": ...}}}``.
        bench_rows: of ``lightrec bench``; kinds that the page does not show are passed over.
        title: of the page; by default it names the bundles.

    Raises:
        DataError: if there are no rows at all.
    """
    quality_rows, bench_rows = _shown(quality_rows), _shown(bench_rows)
    speed = rows_of_kind(bench_rows, "speed")
    if not quality_rows and not speed:
        raise DataError(f"There is no row to report: measure something first, and then write {path}.")
    sections = []
    if quality_rows:
        sections.append(quality_section(quality_rows, quality_summary(quality_rows)))
    if speed:
        sections += _speed_sections(speed, bench_rows)
    template = Template(files("lightrec.benchmarks.report").joinpath("template.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(visible(title or _title(speed))),
        claim=escape(summary(speed) if speed else quality_summary(quality_rows)),
        warnings="".join(f'<p class="warning" role="note">{escape(words)}</p>\n' for words in caveats(speed)),
        chart_style=STYLE,
        sections="\n".join(part for part in sections if part),
    )
    _write(path, page)


def write_pareto(path: str | Path, rows: Sequence[Row]) -> None:
    """Write quality against latency as a self-contained SVG file, light or dark as the reader's screen is.

    Raises:
        ConfigError: if ``path`` does not end in ``.svg``.
        DataError: if no row has both.
    """
    if Path(path).suffix != ".svg":
        raise ConfigError(f"The picture {path} is SVG: end its name in .svg.")
    speed = rows_of_kind(_shown(rows), "speed")
    named = list(zip(labels(speed), speed, strict=True))
    found = points(named) if named else []
    if not found:
        raise DataError("No row has a latency and an NDCG@10: measure with lightrec bench --data first.")
    data = dict.fromkeys(row["data"]["name"] for row in speed)
    note = f"{machine_line(speed[0])}. The larger a mark, the larger the model."
    _write(path, pareto_file(found, quality_limit(named), f"Quality against latency on {', '.join(data)}", note))


def quality_summary(rows: Sequence[QualityRow]) -> str:
    """Name the model that ranks best, in one sentence."""
    best = max(rows, key=lambda row: row["metrics"]["ndcg@10"]["value"])
    ndcg = best["metrics"]["ndcg@10"]
    interval = "" if ndcg["low"] is None else f" ({ndcg['low']:.4f}–{ndcg['high']:.4f})"
    return f"Of {len(rows)} models {best['label']} ranks best: NDCG@10 {ndcg['value']:.4f}{interval}."


def _speed_sections(speed: Sequence[SpeedRow], rows: Sequence[Row]) -> list[str]:
    named = list(zip(labels(speed), speed, strict=True))
    return [
        pareto_section(named),
        latency_section(named),
        throughput_section(named),
        scaling_section(named, rows_of_kind(rows, "catalogue")),
        soak_section(named),
        footprint_section(named),
        figures_section(named),
        absent_section(absent(rows)),
        machine_section(speed),
    ]


def _shown(fact: Any) -> Any:
    """Remove control characters from all texts of rows, which come from files; XML cannot hold some of them."""
    if isinstance(fact, dict):
        return {visible(str(name)): _shown(own) for name, own in fact.items()}
    if isinstance(fact, list | tuple):
        return [_shown(own) for own in fact]
    return visible(fact) if isinstance(fact, str) else fact


def _title(speed: Sequence[SpeedRow]) -> str:
    bundles = ", ".join(dict.fromkeys(row["bundle"] for row in speed))
    return f"lightrec bench: {bundles}" if bundles else "lightrec report"


def _write(path: str | Path, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(path), text)
