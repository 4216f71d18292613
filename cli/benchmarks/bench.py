"""``lightrec bench``: how fast, how small and how good is a bundle on this machine?"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lightrec.cli.options import BundleArgument, JsonOption, command_line, console, print_json, progress_console

MEASURED, LIMITS, OUTPUT = "What is measured", "Limits", "Output"
"""Panels of the help."""


def bench(
    context: typer.Context,
    bundle: BundleArgument,
    data: Annotated[
        Path | None,
        typer.Option(help="Prepared data set with test users to recommend to; without it, histories are random."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run that the bundle was exported from: its torch student is measured too.")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Run of its teacher, evaluated on the same test users: the share of NDCG@10 retained."),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another bundle of the same items, in the same turns; repeatable.", show_default=False),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="single-stream, offline, multi-stream, server, cold-start, session or soak; repeatable.  "
            "[default: all but soak]",
            show_default=False,
            rich_help_panel=MEASURED,
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="All but soak: more batches, threads, catalogues.", rich_help_panel=MEASURED),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, tensorrt, gpu or npu.  [default: all here]", rich_help_panel=MEASURED),
    ] = None,
    cases: Annotated[
        int, typer.Option(help="Most histories to use, for timing and for NDCG@10.", rich_help_panel=MEASURED)
    ] = 1000,
    seconds: Annotated[
        float | None,
        typer.Option(help="Time for each variant.  [default: 5; 10 with --full]", rich_help_panel=MEASURED),
    ] = None,
    p99_ms: Annotated[
        float, typer.Option(help="Limit of the server's 99th percentile latency.", rich_help_panel=MEASURED)
    ] = 10.0,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Also measure with 1, 2, 4... threads.", rich_help_panel=MEASURED)
    ] = False,
    catalogue_sizes: Annotated[
        str,
        typer.Option(help="Also time random bundles of these sizes: 1000,10000.", rich_help_panel=MEASURED),
    ] = "",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Also measure the compiled torch student (takes minutes).", rich_help_panel=MEASURED
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(help="Python with replay-rec[torch], openvino, onnx: a peer.", rich_help_panel=MEASURED),
    ] = None,
    rectools: Annotated[
        Path | None, typer.Option(help="Python with rectools[torch]: another peer.", rich_help_panel=MEASURED)
    ] = None,
    sentences: Annotated[
        bool,
        typer.Option("--sentences", help="A sentence encoder over the titles: a peer.", rich_help_panel=MEASURED),
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser", help="Also measure in headless Chromium.", rich_help_panel=MEASURED)
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(help="Measure on user@board instead, over ssh, without torch.", rich_help_panel=MEASURED),
    ] = None,
    host_python: Annotated[
        str, typer.Option(help="Python there, with what pip install lightrec brings.", rich_help_panel=MEASURED)
    ] = "python3",
    seed: Annotated[int, typer.Option(help="Makes the drawn histories repeatable.", rich_help_panel=MEASURED)] = 0,
    threads: Annotated[
        int | None,
        typer.Option(help="Compute threads of each runtime.  [default: --cores, or 1]", rich_help_panel=LIMITS),
    ] = None,
    cores: Annotated[int | None, typer.Option(help="Number of cores to run on.", rich_help_panel=LIMITS)] = None,
    memory: Annotated[str | None, typer.Option(help="Memory limit, such as 512MB.", rich_help_panel=LIMITS)] = None,
    profile: Annotated[str | None, typer.Option(help="edge: one core and 512MB.", rich_help_panel=LIMITS)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="JSON lines file to add the rows to.", rich_help_panel=OUTPUT)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Report to write: .html (one page, no network), .md or .csv.", rich_help_panel=OUTPUT),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, throughput, memory and size of every model in a bundle, and the NDCG@10 it keeps.

    All variants (torch, ONNX Runtime, OpenVINO; every device found) run in processes of their own and are timed in
    one run, in turns, on the same histories. One that is not here is listed as absent. docs/bench.md explains every
    figure.

    **Examples**

    ```
    lightrec bench bundles/student
    lightrec bench bundles/student --data prepared/ml-100k --run runs/student
    lightrec bench bundles/student --data prepared/ml-100k --teacher runs/teacher
    lightrec bench bundles/student --data prepared/ml-100k --full --out results.jsonl --report report.html
    lightrec bench bundles/student --profile edge
    lightrec bench bundles/student --host user@board --out results.jsonl
    lightrec bench bundles/student --scenario server --p99-ms 5
    lightrec bench bundles/student --scenario soak --seconds 600 --json
    ```
    """
    from lightrec.benchmarks import measure
    from lightrec.benchmarks import plan as plans
    from lightrec.benchmarks.harness.remote import bench_there
    from lightrec.benchmarks.harness.worker_limits import make_limits
    from lightrec.benchmarks.report.page import check_format
    from lightrec.benchmarks.rows import require_json_lines
    from lightrec.benchmarks.variants.find_variants import Wanted
    from lightrec.errors import ConfigError

    for flag, path in (("--out", out), ("--report", report)):
        if path is not None and path.is_dir():
            raise ConfigError(f"{flag} is the folder {path}: name a file in it.")
    if out is not None:
        require_json_lines(out)
    if report is not None:
        check_format(report)
    if host is not None:
        more: dict[str, Any] = {
            "--run": run,
            "--teacher": teacher,
            "--replay": replay,
            "--rectools": rectools,
            "--catalogue-sizes": catalogue_sizes,
        }
        more |= {"--full": full, "--compile": compiled, "--sentences": sentences, "--browser": browser}
        more |= {"--beside": beside}
        if any(more.values()):
            given = ", ".join(flag for flag, value in more.items() if value)
            raise ConfigError(f"--host measures with the base package alone: leave out {given}.")
        asked: dict[str, Any] = {
            "--scenario": scenario,
            "--device": device,
            "--cases": cases,
            "--seconds": seconds,
            "--p99-ms": p99_ms,
        }
        asked |= {"--scaling": scaling, "--seed": seed, "--threads": threads, "--cores": cores}
        asked |= {"--memory": memory, "--profile": profile}
        command, begin = shlex.join(command_line(context)), time.monotonic()
        with progress_console.status("Connecting") as status:
            rows = bench_there(host, bundle, data, asked, python=host_python, progress=status.update)
        own = {"host": host, "command": command, "elapsed_seconds": round(time.monotonic() - begin, 1)}
        _tell([{**row, **own} for row in rows], out, report, as_json)
        return
    limits = make_limits(cores, memory, profile)
    sizes = plans.parse_sizes(catalogue_sizes)
    plan = plans.Plan(
        scenarios=tuple(scenario or plans.DEFAULT_SCENARIOS),
        seconds=seconds if seconds is not None else plans.FULL_SECONDS if full else plans.SECONDS,
        batches=plans.ALL_BATCHES if full else plans.BATCHES,
        p99_ms=p99_ms,
        scaling=scaling or full,
        catalogue_sizes=sizes or (plans.FULL_SIZES if full else ()),
        threads=threads if threads is not None else len(limits.cores or (0,)),
        seed=seed,
        limits=limits,
    )
    with progress_console.status("Reading the bundle") as status:
        rows = measure.bench(
            bundle,
            data,
            Wanted(
                device=device,
                run=run,
                teacher=teacher,
                compiled=compiled,
                replay=replay,
                rectools=rectools,
                sentences=sentences,
                browser=browser,
                beside=tuple(beside or ()),
            ),
            plan=plan,
            cases=cases,
            command=command_line(context),
            progress=status.update,
        )
    _tell(rows, out, report, as_json)


def _tell(rows: list[dict[str, Any]], out: Path | None, report: Path | None, as_json: bool) -> None:
    """Store the rows and print them, as JSON or as the table."""
    from lightrec.benchmarks.report.absent import absent_lines
    from lightrec.benchmarks.report.page import write_rows_report
    from lightrec.benchmarks.report.speed_table import speed_table
    from lightrec.benchmarks.rows import append_rows

    if out is not None:
        append_rows(out, rows)
    if report is not None:
        write_rows_report(report, rows)
    if as_json:
        print_json(rows)
    else:
        console.print(speed_table(rows))
        for line in absent_lines(rows):
            console.print(f"Absent: {line}", style="yellow", markup=False)
        for row in rows[:1]:
            if row["noise"]["warning"]:
                console.print(row["noise"]["warning"], style="yellow")
        for flag in filter(None, ((row.get("agreement") or {}).get("flag") for row in rows)):
            console.print(flag, style="red", markup=False)
