"""``lightrec demo``: the whole path on real data, with the commands a user would give one by one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightrec.cli.options import console, styled
from lightrec.cli.recipes.run_steps import run_steps

if TYPE_CHECKING:
    from lightrec.benchmarks.recipes.demo_steps import Layout
    from lightrec.evaluation.comparison import Comparison

SHOWN_HISTORY = 5
"""How many of the user's last films are shown."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything that the demo writes.")] = Path(
        "lightrec-demo"
    ),
    data: Annotated[Path | None, typer.Option(help="Prepared data set.  [default: MovieLens-100K, fetched]")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds for the baseline and the distilled student.", min=1)] = 1,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Train longer: half an hour on two cores, more with more seeds.")
    ] = False,
) -> None:
    """Go the whole path on real data: language model, student, bundle, timings, recommendations.

    Prints and runs the commands that you would give one by one: fine-tune a language model on MovieLens-100K, distil
    it, compare it with baselines, export it, time it, and recommend films. Minutes on two cores. Given again, it
    goes on from what is done.

    **Examples**

    ```
    lightrec demo
    lightrec demo --thorough --seeds 5 --out demo-thorough
    lightrec demo --data prepared/my-shop --out demo-my-shop
    ```
    """
    from lightrec.benchmarks.recipes.demo_steps import QUICK, THOROUGH, Layout, demo_steps
    from lightrec.data.dataset import Dataset

    started = time.monotonic()
    if data is not None:
        Dataset.open(data)  # refuse what is no data set before a folder is made
    layout = Layout(out=out, data=data or out / "data")
    steps = demo_steps(layout, THOROUGH if thorough else QUICK, seeds, fetch=data is None)
    out.mkdir(parents=True, exist_ok=True)
    run_steps(steps)
    _show_results(layout, seeds, time.monotonic() - started)


def _show_results(layout: Layout, seeds: int, seconds: float) -> None:
    from lightrec.benchmarks.quality_rows import comparison_row, comparison_sentence
    from lightrec.benchmarks.recipes.demo_steps import LABELS
    from lightrec.benchmarks.report.page import write_report
    from lightrec.benchmarks.report.quality_table import quality_table
    from lightrec.benchmarks.report.speed_table import speed_table
    from lightrec.benchmarks.row_types import rows_of_kind
    from lightrec.benchmarks.rows import append_rows, read_rows

    rows = _quality_rows(layout, seeds)
    quality = rows_of_kind(rows, "quality")
    comparison = _compare(layout, seeds)
    layout.quality.unlink(missing_ok=True)
    row = comparison_row(LABELS["student"], LABELS["sasrec"], comparison, rows[0])
    append_rows(layout.quality, [*rows, row])
    speed = _latest(read_rows(layout.speed))
    dataset = quality[0]["data"]
    write_report(layout.report, [row for row in quality if row["seed"] == 0], speed, title=f"lightrec on {dataset}")
    console.print()
    console.rule(styled("[bold]What came out[/]"))
    console.print(quality_table(quality))
    console.print(comparison_sentence("Distilled", "undistilled", comparison), highlight=False, soft_wrap=True)
    console.print()
    console.print(speed_table(speed))
    console.print()
    _show_recommendations(layout)
    _show_next(layout, seconds)


def _quality_rows(layout: Layout, seeds: int) -> list[dict[str, Any]]:
    from lightrec.benchmarks.quality_rows import origin, quality_row
    from lightrec.benchmarks.recipes.demo_steps import LABELS
    from lightrec.files.atomic import read_json

    shared = origin()
    return [
        quality_row(read_json(layout.evaluation(name, seed)), label, seed, shared)
        for name, label in LABELS.items()
        for seed in range(seeds if name in ("sasrec", "student") else 1)
    ]


def _compare(layout: Layout, seeds: int) -> Comparison:
    """The distilled student against the same student without a teacher, over users and seeds."""
    from lightrec.benchmarks.quality_rows import evaluate_run
    from lightrec.data.dataset import Dataset
    from lightrec.data.splits import make_split
    from lightrec.evaluation.comparison import paired_comparison

    split = make_split(Dataset.open(layout.data))
    ours, theirs = (
        [evaluate_run(layout.run(name, seed), split) for seed in range(seeds)] for name in ("student", "sasrec")
    )
    return paired_comparison(ours, theirs, "ndcg@10")


def _latest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each variant, torch once: it is timed beside every bundle."""
    return list({row["variant"]: row for row in rows if row["kind"] == "speed"}.values())


def _show_recommendations(layout: Layout) -> None:
    from rich import box
    from rich.table import Table

    from lightrec import Recommender
    from lightrec.data.dataset import Dataset
    from lightrec.data.splits import make_split

    dataset = Dataset.open(layout.data)
    cases = make_split(dataset).test
    history = [dataset.item_ids[item] for item in cases.history(0)]
    target = dataset.item_ids[cases.targets[0]]
    recommender, user = Recommender.load(layout.bundle), dataset.user_ids[cases.users[0]]
    table = Table(
        box=box.SIMPLE_HEAD,
        title=styled("[bold]One user's last items and the ten recommended[/] (user {user})", user=user),
        title_justify="left",
        caption=f"chosen next in truth: {recommender.title(target) or target}",
        caption_justify="left",
    )
    table.add_column("last, oldest first", style="dim")
    table.add_column("recommended", style="bold")
    last = [recommender.title(item) or item for item in history[-SHOWN_HISTORY:]]
    for rank, item in enumerate(recommender.recommend(history, 10), start=1):
        found = styled("{rank:2d}  {name}", rank=rank, name=item.title or item.id)
        if item.id == target:
            found.append("  ← chosen next", style="green")
        table.add_row(last[rank - 1] if rank <= len(last) else "", found)
    console.print(table)
    shown = ",".join(history[-SHOWN_HISTORY:])
    console.print(f"$ lightrec recommend {layout.bundle} --history {shown}", style="cyan", soft_wrap=True)


def _show_next(layout: Layout, seconds: float) -> None:
    from lightrec.bundle import deployed_bytes

    size = deployed_bytes(layout.bundle) / 1e6
    console.print()
    console.rule(styled("[bold]Where it lies, and what is next[/]"))
    for what, where in (
        (f"bundle ({size:.2f} MB to deploy)", layout.bundle),
        ("report", layout.report),
        ("rows", f"{layout.quality}, {layout.speed}"),
    ):
        console.print(f"  {what:<28} {where}", highlight=False, soft_wrap=True)
    console.print(f"  {'this took':<28} {seconds / 60:.1f} minutes", highlight=False)
    console.print()
    console.print("On your own data:")
    console.print(
        "$ lightrec data prepare interactions.csv --items items.csv --out my-data && lightrec demo --data my-data "
        "--out my-demo",
        style="cyan",
        soft_wrap=True,
        highlight=False,
    )
