"""``lightrec report``: stored benchmark rows as a page, a text, a spreadsheet or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightrec.cli.options import console


def report(
    rows: Annotated[list[Path], typer.Argument(metavar="ROWS...", help="Rows written by lightrec bench --out.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Report to write: its name ends in .html, .md or .csv.")
    ] = None,
    pareto: Annotated[
        Path | None, typer.Option(help="Picture to write, in .svg: quality against latency, light and dark.")
    ] = None,
) -> None:
    """Make the report of stored rows: the same that lightrec bench --report wrote when they were measured.

    An HTML page is one file and needs no network. Rows of several files and runs stand side by side.

    **Examples**

    ```
    lightrec report rows.jsonl --out report.html
    lightrec report laptop.jsonl board.jsonl --out both.md
    lightrec report rows.jsonl --pareto pareto.svg
    ```
    """
    from lightrec.benchmarks.report.page import write_pareto, write_rows_report
    from lightrec.benchmarks.rows import as_measured, read_rows
    from lightrec.errors import ConfigError

    if out is None and pareto is None:
        raise ConfigError("Nothing to write: name a report with --out or a picture with --pareto.")
    found = [row for path in rows for row in read_rows(path)]
    if out is not None:
        with as_measured(*rows):
            write_rows_report(out, found)
        console.print(f"Wrote {out}.", highlight=False)
    if pareto is not None:
        with as_measured(*rows):
            write_pareto(pareto, found)
        console.print(f"Wrote {pareto}.", highlight=False)
