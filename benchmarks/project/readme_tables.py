"""Fill the result tables of a Markdown file from stored rows.

``python -m lightrec.benchmarks.project.readme_tables README.md benchmarks/results/`` replaces the text between each
pair of these marks, from the rows in ``NAME.jsonl``:

- ``<!-- table: NAME -->`` and ``<!-- /table -->``: one table for each kind of row;
- ``<!-- table: NAME: A | B -->``: the same for the models, variants or goals A and B alone;
- ``<!-- slices: NAME -->`` and ``<!-- /slices -->``: the quality on parts of the test cases;
- ``<!-- claim: NAME -->`` and ``<!-- /claim -->``: the recommended variant in one sentence.

With ``--check`` nothing is written, and the exit code is 1 if the file is not up to date.

Rows of kind ``quality`` need ``label``, ``data`` and ``metrics`` (as ``lightrec evaluate --json`` gives them); those of
one label on one data set are runs with different seeds. ``slices`` and ``deployed_bytes`` are shown where there are.
Rows of kind ``speed`` are those of ``lightrec bench --out``. Rows of kind ``comparison`` compare two
labels; those of kind ``goal`` are the speed table's, those of kind ``training-speed`` come from
:mod:`~lightrec.benchmarks.peers.training_speed`; those of kind ``campaign`` from ``tests/campaigns/run.py --out``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightrec.benchmarks.project.speed_goals import goals_table
from lightrec.benchmarks.quality_rows import is_certain, seed_counts
from lightrec.benchmarks.report.columns import value
from lightrec.benchmarks.report.recommendation import summary
from lightrec.benchmarks.report.tables.formats import (
    drop,
    machine_line,
    megabytes,
    milliseconds,
    per_second,
    threads,
    times,
)
from lightrec.benchmarks.report.tables.render_markdown import markdown_table
from lightrec.benchmarks.report.tables.table import Cell, Column, Table
from lightrec.benchmarks.row_types import rows_of_kind
from lightrec.benchmarks.rows import read_rows
from lightrec.errors import DataError, LightrecError
from lightrec.files.atomic import write_text

Row = dict[str, Any]

MARKED = re.compile(
    r"(?P<start><!-- (?P<what>table|slices|claim): (?P<name>[\w.-]+)(?:: (?P<only>[^\n]+))? -->\n)"
    r".*?(?P<end><!-- /(?P=what) -->)",
    re.DOTALL,
)
QUALITY_METRICS = ("hr@10", "ndcg@10")
SLICES = {"popularity": ("head", "torso", "tail", "cold"), "history": ("short", "medium", "long")}
"""The parts of the cases in the order of their columns."""


def fill_tables(text: str, results: Path) -> str:
    """Return ``text`` with every marked table rebuilt from ``results/NAME.jsonl``.

    Raises:
        DataError: if there is no such file, its rows make no table, or a mark names a row that it does not have.
    """

    def fill(match: re.Match[str]) -> str:
        make = {"table": _table, "slices": _slices, "claim": _claim}[match["what"]]
        rows = _rows(results / f"{match['name']}.jsonl")
        if match["only"]:
            rows = _select(rows, match["only"].split(" | "), match["name"])
        return match["start"] + make(rows) + match["end"]

    return MARKED.sub(fill, text)


def quality_table(rows: Sequence[Row]) -> str:
    """Show one line per model: the mean over seeds ± standard deviation, or one run's value with its interval.

    Megabytes are those of the exported model where one was measured.
    """
    groups = _by_model(rows)
    best = {
        (data, metric): max(_mean(group, metric) for (other, _), group in groups.items() if other == data)
        for data, _ in groups
        for metric in QUALITY_METRICS
    }
    sized = any("deployed_bytes" in row for row in rows)
    lines: list[list[Cell | str]] = []
    for (data, label), group in groups.items():
        cells = [_quality_cell(group, metric, best[data, metric]) for metric in QUALITY_METRICS]
        lines.append([data, label, *cells, *([_deployed(group)] if sized else []), str(len(group))])
    head = ["data", "model", "HR@10", "NDCG@10", *(["MB deployed"] if sized else []), "seeds"]
    return _markdown(head, lines, left=2)


def slices_table(rows: Sequence[Row]) -> str:
    """Show NDCG@10 on parts of the cases, one line per model: means over seeds, the best of each column bold."""
    groups = _by_model(rows)
    columns = [
        (kind, part)
        for kind, parts in SLICES.items()
        for part in parts
        if any(part in _parts(row, kind) for row in rows)
    ]
    means = {
        (key, column): statistics.fmean(values)
        for key, group in groups.items()
        for column in columns
        if (values := [_slice_ndcg(row, *column) for row in group if column[1] in _parts(row, column[0])])
    }
    lines: list[list[Cell | str]] = []
    for (data, label), _ in groups.items():
        cells = []
        for column in columns:
            values = [value for ((other, _), place), value in means.items() if (other, place) == (data, column)]
            mean = means.get(((data, label), column))
            best = f"{max(values):.4f}" if any(values) else ""
            cells.append(Cell("") if mean is None else Cell(f"{mean:.4f}", best=f"{mean:.4f}" == best))
        lines.append([data, label, *cells])
    nouns = {"popularity": "items", "history": "histories"}
    head = ["data", "model", *(f"{part} {nouns[kind]}" for kind, part in columns)]
    return _markdown(head, lines, left=2)


def speed_table(rows: Sequence[Row]) -> str:
    """Show one line per variant, as measured last: latency, throughput, size and quality."""
    latest = {(row["bundle"], row["data"]["name"], row["variant"], row["threads"]): row for row in rows}
    lines = []
    for row in latest.values():
        ndcg = f"{row['quality']['ndcg@10']['value']:.4f} ({drop(row['quality'])})" if row["quality"] else ""
        cells = [
            *(_written(value(row, "latency_ms", *path), milliseconds) for path in _LATENCIES),
            _written(value(row, "latency_ms", "recommend", "speedup", "value"), times),
            _written((row["per_second"] or {}).get("256"), per_second),
            _written(row["size_bytes"], megabytes),
        ]
        lines.append([row["bundle"], row["variant"], *cells, ndcg])
    head = ["bundle", "variant", "p50, ms", "p99, ms", "graph p50, ms", "×", "per s, batch 256", "MB", "NDCG@10"]
    machines = dict.fromkeys(f"{machine_line(row)}; {threads(row)}" for row in latest.values())
    return _markdown(head, lines, left=2) + f"\nMeasured on {' and on '.join(machines)}.\n"


_LATENCIES = (("recommend", "p50"), ("recommend", "p99"), ("graph", "p50"))


def _written(value: float | None, write: Callable[[float], str]) -> str:
    """Format a value; empty for what was not measured."""
    return "" if value is None else write(value)


def goals_text(rows: Sequence[Row]) -> str:
    """Show one line for each goal of the speed table, as measured last."""
    latest = {row["goal"]: row for row in rows}
    machines = dict.fromkeys(machine_line(row) for row in latest.values())
    table = markdown_table(goals_table(list(latest.values())))
    return f"{table}\nMeasured on {' and on '.join(machines)}; one thread but for batches.\n"


def training_table(rows: Sequence[Row]) -> str:
    """Show one line per library: seconds per epoch, and the ratio to the first library."""
    first = rows[0]["seconds_per_epoch"]
    lines = [
        [
            f"{row['label']} {row['version']}",
            row["settings"].get("precision", "fp32"),
            f"{row['seconds_per_epoch']:.1f}",
            f"{row['seconds_per_epoch'] / first:.1f}×",
            f"{row['parameters']:,}",
        ]
        for row in rows
    ]
    row, settings = rows[0], rows[0]["settings"]
    table = _markdown(["library", "precision", "s an epoch", "×", "parameters"], lines, left=2)
    return (
        f"{table}\n{row['data']}, {row['targets_per_epoch']:,} targets an epoch; d={settings['hidden_size']}, "
        f"{settings['num_layers']} layers, {settings['max_length']} positions, batches of {settings['batch_size']}, "
        f"{row['threads']} threads. Measured on {machine_line(row)}.\n"
    )


def campaigns_table(rows: Sequence[Row]) -> str:
    """Show one line per campaign, as run last: attempts by outcome, duration and commit."""
    latest = {row["campaign"]: row for row in rows}
    lines = [
        [
            row["campaign"],
            row["promise"],
            *(f"{row[count]:,}" for count in ("attempts", "right", "refused", "other")),
            f"{row['seconds'] / 60:.1f}",
            row["commit"] or "",
        ]
        for row in latest.values()
    ]
    head = ["campaign", "promise", "attempts", "right", "refused", "anything else", "minutes", "commit"]
    return _markdown(head, lines, left=2)


def comparisons_table(rows: Sequence[Row]) -> str:
    """Show one line per comparison: the difference with its interval, whether it is certain, what was resampled."""
    lines = []
    for row in rows:
        found = row["comparison"]
        difference, relative = found["difference"], found["relative"]
        cells = [
            f"{difference['value']:+.4f}",
            f"{difference['low']:+.4f} to {difference['high']:+.4f}",
            f"{relative['value']:+.1%}" if relative else "",
            f"{found['users']:,}",
            seed_counts(found["seeds"]),
            "yes" if is_certain(difference) else "no",
        ]
        lines.append([row["data"], row["a"], row["b"], *cells])
    metrics = ", ".join(dict.fromkeys(row["comparison"]["metric"].upper() for row in rows))
    head = ["data", "model", "against", metrics, "95 %", "relative", "users", "seeds", "a difference"]
    table = _markdown(head, lines, left=3)
    return f"{table}\n95 %: users and seeds resampled together. Where it holds 0, these data show no difference.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.project.readme_tables", description=__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with marked tables")
    parser.add_argument("results", type=Path, help="folder of NAME.jsonl")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file would change")
    given = parser.parse_args(arguments)
    try:
        old = given.file.read_text(encoding="utf-8")
        new = fill_tables(old, given.results)
    except (LightrecError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if given.check:
        if new != old:
            print(f"{given.file} differs from {given.results}: run this command without --check.", file=sys.stderr)
        return int(new != old)
    if new != old:
        write_text(given.file, new)
    return 0


def _rows(file: Path) -> list[Row]:
    if not file.is_file():
        raise DataError(f"There is no {file}, which a mark asks for: store the rows there or remove the mark.")
    return read_rows(file)


def _select(rows: list[Row], names: Sequence[str], file: str) -> list[Row]:
    """The rows of these models (``label``), variants or goals, in the order of ``names``."""
    found: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        name = row.get("label") or row.get("goal") or row.get("variant")
        if name in found and row["kind"] in KINDS:
            found[name].append(row)
    if missing := [name for name in names if not found[name]]:
        raise DataError(f"{file}.jsonl has no row named {missing[0]!r}, which a mark selects: correct the mark.")
    return [row for name in names for row in found[name]]


def _table(rows: list[Row]) -> str:
    parts = [make(chosen) for kind, make in KINDS.items() if (chosen := [row for row in rows if row["kind"] == kind])]
    if not parts:
        raise DataError(f"A marked table has rows of no known kind ({', '.join(KINDS)}): store such rows.")
    return "\n".join(parts)


def _slices(rows: list[Row]) -> str:
    quality = [row for row in rows if row["kind"] == "quality" and row.get("slices")]
    if not quality:
        raise DataError("Marked slices need rows of kind quality with slices: store those of lightrec reproduce.")
    return slices_table(quality)


KINDS: dict[str, Callable[[Sequence[Row]], str]] = {
    "quality": quality_table,
    "comparison": comparisons_table,
    "speed": speed_table,
    "goal": goals_text,
    "training-speed": training_table,
    "campaign": campaigns_table,
}


def _claim(rows: list[Row]) -> str:
    speed = rows_of_kind(rows, "speed")
    if not speed:
        raise DataError("A marked claim needs rows of kind speed: store those of lightrec bench --out.")
    return f"{summary(speed, _machine_class(speed[0]))}\n"


def _machine_class(row: Mapping[str, Any]) -> str:
    """The threads, the processor and its architecture: "one thread of an AMD EPYC (x86_64)"."""
    machine, count = row["machine"], row["threads"]
    used = "one thread" if count == 1 else f"{count} threads"
    processor = machine["processor"] or "an unknown processor"
    article = "" if machine["processor"] is None else "an " if processor[0] in "AEIOU" else "a "
    return f"{used} of {article}{processor} ({machine['system'].rsplit(', ', 1)[-1]})"


def _mean(group: Sequence[Row], metric: str) -> float:
    return statistics.fmean(row["metrics"][metric]["value"] for row in group)


def _by_model(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Group rows by data set and label; another split counts as another data set."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        temporal = (row.get("split") or {}).get("name") == "temporal"
        groups.setdefault((row["data"] + (", temporal" if temporal else ""), row["label"]), []).append(row)
    return groups


def _deployed(group: Sequence[Row]) -> str:
    sizes = [row["deployed_bytes"] for row in group if "deployed_bytes" in row]
    return megabytes(sizes[0]) if sizes else ""


def _parts(row: Row, kind: str) -> dict[str, Row]:
    return row["slices"].get(kind, {})


def _slice_ndcg(row: Row, kind: str, part: str) -> float:
    return row["slices"][kind][part]["metrics"]["ndcg@10"]["value"]


def _quality_cell(group: Sequence[Row], metric: str, best: float) -> Cell:
    text = f"{_mean(group, metric):.4f}"
    low, high = group[0]["metrics"][metric]["low"], group[0]["metrics"][metric]["high"]
    detail = "" if low is None else f"({low:.4f}–{high:.4f})"
    if len(group) > 1:
        detail = f"± {statistics.stdev(row['metrics'][metric]['value'] for row in group):.4f}"
    return Cell(text, detail, best=text == f"{best:.4f}")


def _markdown(head: Sequence[str], lines: Sequence[Sequence[Cell | str]], left: int) -> str:
    """Return a Markdown table whose first ``left`` columns are text and the others numbers.

    The first column is left out where it holds one text only.
    """
    columns = [
        Column(label, [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells], is_text=place < left)
        for place, (label, cells) in enumerate(zip(head, zip(*lines, strict=True), strict=True))
    ]
    return markdown_table(Table(columns).without_constant())


if __name__ == "__main__":
    sys.exit(main())
