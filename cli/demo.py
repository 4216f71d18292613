"""``lightrec demo``: the whole path on real data, with the commands a user would give one by one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightrec.cli.common import console
from lightrec.cli.demo_steps import LABELS, QUICK, THOROUGH, Layout, Step, demo_steps

if TYPE_CHECKING:
    from rich.table import Table

    from lightrec.evaluation.comparison import Comparison

KEPT = ("split", "on", "cases", "hidden_targets", "ties", "metrics", "slices")
"""What a stored row takes over from an evaluation."""
SHOWN_HISTORY = 5
"""How many of the user's last films are shown."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for all that the demo makes.")] = Path("lightrec-demo"),
    data: Annotated[
        Path | None, typer.Option(help="A prepared data set of your own.  [default: MovieLens-100K, fetched]")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Seeds of the baseline and the distilled student, to compare them over.", min=1)
    ] = 1,
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
    started = time.monotonic()
    layout = Layout(out=out, data=data or out / "data")
    steps = demo_steps(layout, THOROUGH if thorough else QUICK, seeds, fetch=data is None)
    out.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps, start=1):
        _run(number, len(steps), step)
    _show_results(layout, seeds, time.monotonic() - started)


def _run(number: int, of: int, step: Step) -> None:
    from rich.text import Text

    from lightrec.cli.app import app

    console.print()
    console.print(Text.assemble((f"[{number}/{of}] ", "dim"), (step.title, "bold")))
    console.print(Text(f"$ {step.line}", style="cyan"), soft_wrap=True)
    if step.done and step.done.exists():
        console.print("[green]✓[/] done before", highlight=False)
        return
    started = time.monotonic()
    console.quiet = step.quiet
    try:
        app(list(step.words), standalone_mode=False)
    finally:
        console.quiet = False
    if step.done and not step.done.exists():
        step.done.touch()
    console.print(f"[green]✓[/] [dim]{time.monotonic() - started:.0f} s[/]", highlight=False)


def _show_results(layout: Layout, seeds: int, seconds: float) -> None:
    from lightrec.benchmarks.report import write_report
    from lightrec.benchmarks.rows import read_rows
    from lightrec.benchmarks.tables import speed_table

    quality = _quality_rows(layout, seeds)
    comparison = _compare(layout, seeds)
    layout.quality.unlink(missing_ok=True)
    _store(layout, quality, comparison)
    speed = _latest(read_rows(layout.speed))
    dataset = quality[0]["data"]
    write_report(layout.report, [row for row in quality if row["seed"] == 0], speed, title=f"lightrec on {dataset}")
    console.print()
    console.rule("[bold]What came out")
    console.print(_quality_table(quality, dataset))
    console.print(_sentence(comparison), highlight=False, soft_wrap=True)
    console.print()
    console.print(speed_table(speed))
    console.print()
    _show_recommendations(layout)
    _show_next(layout, seconds)


def _quality_rows(layout: Layout, seeds: int) -> list[dict[str, Any]]:
    from lightrec.benchmarks.rows import machine, software
    from lightrec.files import read_json

    common = {"machine": machine(), **software()}
    rows = []
    for name, label in LABELS.items():
        for seed in range(seeds if name in ("sasrec", "student") else 1):
            found = read_json(layout.evaluation(name, seed))
            rows.append(
                {
                    "kind": "quality",
                    "label": label,
                    "data": found["dataset"]["name"],
                    "data_checksum": found["dataset"]["checksum"],
                    "seed": seed,
                    **{
                        key: found[key]
                        for key in ("split", "on", "cases", "hidden_targets", "ties", "metrics", "slices")
                    },
                    **common,
                }
            )
    return rows


def _compare(layout: Layout, seeds: int) -> Comparison:
    """The distilled student against the same student without a teacher, over users and seeds."""
    from lightrec.data.dataset import Dataset
    from lightrec.data.splits import make_split
    from lightrec.evaluation.comparison import paired_comparison
    from lightrec.evaluation.protocol import evaluate
    from lightrec.models.load import load_model
    from lightrec.models.scoring import ModelScorer

    split = make_split(Dataset.open(layout.data))
    sides = [
        [
            evaluate(
                ModelScorer(load_model(layout.run(name, seed))[0]),
                split.test,
                train_popularity=split.popularity(),
                bootstrap=0,
            )
            for seed in range(seeds)
        ]
        for name in ("student", "sasrec")
    ]
    return paired_comparison(sides[0], sides[1], "ndcg@10")


def _store(layout: Layout, quality: list[dict[str, Any]], comparison: Comparison) -> None:
    from lightrec.benchmarks.rows import append_rows

    first = quality[0]
    shared = {key: first[key] for key in ("data", "data_checksum", "split", "machine", "lightrec_version", "commit")}
    row = {"kind": "comparison", "a": LABELS["student"], "b": LABELS["sasrec"], **shared}
    append_rows(layout.quality, [*quality, {**row, "comparison": comparison.to_json()}])


def _latest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each variant, torch once: it is timed beside every bundle."""
    return list({row["variant"]: row for row in rows if row["kind"] == "speed"}.values())


def _quality_table(rows: list[dict[str, Any]], dataset: str) -> Table:
    from statistics import fmean

    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"[bold]Quality[/] on {dataset}",
        title_justify="left",
        caption=f"Each of {rows[0]['cases']:,} users' last item, ranked among all items but those seen before; "
        "95 % intervals over users; means over seeds where there are several.",
        caption_justify="left",
    )
    for column in ("", "NDCG@10", "95 %", "HR@10", "MRR", "coverage"):
        table.add_column(column, justify="right" if column else "left", no_wrap=bool(column))
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["label"], []).append(row)
    best = max(fmean(row["metrics"]["ndcg@10"]["value"] for row in group) for group in groups.values())
    for label, group in groups.items():
        ndcg = fmean(row["metrics"]["ndcg@10"]["value"] for row in group)
        interval = group[0]["metrics"]["ndcg@10"]
        mrr = next(name for name in group[0]["metrics"] if name.startswith("mrr"))  # a bundle's names its limit
        others = [fmean(row["metrics"][name]["value"] for row in group) for name in ("hr@10", mrr, "coverage@10")]
        table.add_row(
            label if len(group) == 1 else f"{label}, {len(group)} seeds",
            f"{ndcg:.4f}",
            f"{interval['low']:.3f}–{interval['high']:.3f}",
            *(f"{value:.4f}" for value in others),
            style="bold green" if ndcg == best else None,
        )
    return table


def _sentence(comparison: Comparison) -> str:
    difference = comparison.difference
    seeds = f" and {comparison.seeds[0]} seeds" if comparison.seeds[0] > 1 else ", one seed"
    certain = (difference.low or 0) > 0 or (difference.high or 0) < 0
    return (
        f"Distilled against undistilled: NDCG@10 {difference.value:+.4f} "
        f"(95 % {difference.low:+.4f} to {difference.high:+.4f}, over {comparison.users:,} users{seeds}): "
        + ("a difference." if certain else "no difference that this data can show.")
    )


def _show_recommendations(layout: Layout) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lightrec import Recommender
    from lightrec.data.dataset import Dataset
    from lightrec.data.splits import make_split

    dataset = Dataset.open(layout.data)
    cases = make_split(dataset).test
    history = [dataset.item_ids[item] for item in cases.history(0)]
    target = dataset.item_ids[cases.targets[0]]
    recommender = Recommender.load(layout.bundle)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"[bold]One user's last items and the ten recommended[/] (user {dataset.user_ids[cases.users[0]]})",
        title_justify="left",
        caption=f"chosen next in truth: {recommender.title(target) or target}",
        caption_justify="left",
    )
    table.add_column("last, oldest first", style="dim")
    table.add_column("recommended", style="bold")
    last = [recommender.title(item) or item for item in history[-SHOWN_HISTORY:]]
    for rank, item in enumerate(recommender.recommend(history, 10), start=1):
        found = Text(f"{rank:2d}  {item.title or item.id}")
        if item.id == target:
            found.append("  ← chosen next", style="green")
        table.add_row(Text(last[rank - 1] if rank <= len(last) else ""), found)
    console.print(table)
    shown = ",".join(history[-SHOWN_HISTORY:])
    console.print(f"$ lightrec recommend {layout.bundle} --history {shown}", style="cyan", soft_wrap=True)


def _show_next(layout: Layout, seconds: float) -> None:
    from lightrec.bundle import deployed_bytes

    size = deployed_bytes(layout.bundle) / 1e6
    console.print()
    console.rule("[bold]Where it lies, and what is next")
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
