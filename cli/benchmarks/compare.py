"""``lightrec compare``: what changed between two benchmark runs? Exit code 1 on a regression, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import JsonOption, console, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from lightrec.benchmarks.compare import Change

STYLES = {"worse": "bold red", "better": "bold green", "tolerated": "dim"}


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="Rows of lightrec bench: of --out, or of --json.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Rows to compare with them.")],
    tolerance: Annotated[
        float, typer.Option(help="Relative change of time, throughput, size and memory to tolerate.")
    ] = 0.05,
    max_ndcg_drop: Annotated[float, typer.Option(help="Relative loss of NDCG@10 to tolerate.")] = 0.01,
    as_json: JsonOption = False,
) -> None:
    """Show what changed from A to B beyond noise: latency, throughput, start, size, memory and NDCG@10 of each variant.

    The exit code is 1 if anything is worse by more than the tolerance or can no longer be measured, 0 if not, 2 if the
    files cannot be compared.

    **Examples**

    ```
    lightrec compare main.jsonl branch.jsonl
    lightrec compare main.jsonl branch.jsonl --tolerance 0.1 --json
    lightrec compare A.json B.json
    ```
    """
    from lightrec.benchmarks import compare as comparing
    from lightrec.benchmarks.rows import as_measured, read_rows
    from lightrec.errors import ConfigError

    for flag, number in (("--tolerance", tolerance), ("--max-ndcg-drop", max_ndcg_drop)):
        if not 0 <= number < 1:
            raise ConfigError(f"{flag} is {number}: it must be at least 0 and below 1; 0.05 is five per cent.")
    rows = read_rows(before), read_rows(after)
    with as_measured(before, after):
        found = comparing.compare(*rows, tolerance, max_ndcg_drop)
    if as_json:
        print_json(found.to_json())
    else:
        changed = [change for change in found.changes if change.verdict != "same"]
        if changed:
            console.print(_table(changed))
        console.print(f"{len(changed)} of {len(found.changes)} figures changed beyond noise.", highlight=False)
        for name in found.broken:
            console.print(f"{name} now answers other items than it should.", style="bold red", markup=False)
        for words in found.lost:
            console.print(words, style="bold red", markup=False)
        for words in found.warnings:
            console.print(words, style="yellow", markup=False)
    raise typer.Exit(1 if found.regressed else 0)


def _table(changes: list[Change]) -> Table:
    """One line a change."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("", "variant", "figure", "before", "after", "change", "99% interval"):
        left = title in ("", "variant", "figure")
        table.add_column(title, justify="left" if left else "right", no_wrap=title not in ("variant", "figure"))
    for change in changes:
        interval = change.note if change.low is None else f"{change.low:+.1%} to {change.high:+.1%}"
        numbers = [f"{number:,.0f}" if number >= 1000 else f"{number:.4g}" for number in (change.before, change.after)]
        words = (change.verdict, change.variant, change.figure, *numbers, f"{change.change:+.1%}", interval)
        table.add_row(*words, style=STYLES[change.verdict])
    return table
