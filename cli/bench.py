"""``lightrec bench``: how fast, how small and how good is a bundle on this machine?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightrec.cli.common import BundleArgument, JsonOption, console, print_json


def bench(
    bundle: BundleArgument,
    data: Annotated[
        Path | None,
        typer.Option(help="Prepared data set: its test users are asked about. Made-up histories if left out."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run that the bundle was exported from: its torch student is measured beside.")
    ] = None,
    cases: Annotated[int, typer.Option(help="Most histories to use, for timing and for NDCG@10.")] = 1000,
    threads: Annotated[int, typer.Option(help="Compute threads of each runtime.")] = 1,
    device: Annotated[str | None, typer.Option(help="OpenVINO's device: CPU, GPU or NPU.", show_default="CPU")] = None,
    seconds: Annotated[float, typer.Option(help="Time spent timing each variant.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Makes the drawn histories repeatable.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="JSON lines file to add the rows to.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file to write: one page, no network needed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, throughput, load time and size of every model in a bundle, and the NDCG@10 it keeps.

    All variants (torch, ONNX Runtime, OpenVINO) are timed in one run, in turns, on the same real histories: the
    whole call from raw ids to titles, and the graph alone. One that is not installed is listed as absent.

    **Examples**

    ```
    lightrec bench bundles/student
    lightrec bench bundles/student --data prepared/ml-100k --run runs/student
    lightrec bench bundles/student --data prepared/ml-100k --out results.jsonl --report report.html
    lightrec bench bundles/student --threads 2 --seconds 20 --json
    ```
    """
    from rich.console import Console

    from lightrec.benchmarks import measure
    from lightrec.benchmarks.report import write_report
    from lightrec.benchmarks.rows import append_rows
    from lightrec.benchmarks.tables import absent_lines, speed_table
    from lightrec.errors import ConfigError

    for flag, path in (("--out", out), ("--report", report)):
        if path is not None and path.is_dir():
            raise ConfigError(f"{flag} is the folder {path}: name a file in it.")
    with Console(stderr=True).status("Reading the bundle") as status:
        rows = measure.bench(
            bundle,
            data,
            run,
            cases=cases,
            threads=threads,
            device=device,
            seconds=seconds,
            seed=seed,
            progress=status.update,
        )
    if out is not None:
        append_rows(out, rows)
    if report is not None:
        write_report(report, bench_rows=rows, title=f"lightrec bench: {rows[0]['bundle']}")
    if as_json:
        print_json(rows)
    else:
        console.print(speed_table(rows))
        for line in absent_lines(rows):
            console.print(f"Absent: {line}", style="yellow", markup=False)
