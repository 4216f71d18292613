"""``lightrec reproduce``: the whole comparison of one data set, from a recipe."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lightrec.cli.options import DeviceOption, console, styled

if TYPE_CHECKING:
    from lightrec.benchmarks.recipes.recipe import Recipe
    from lightrec.benchmarks.recipes.reproduction import Layout
    from lightrec.benchmarks.recipes.step import Step


def reproduce(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="default, teachers, temporal, beauty, video-games, ml-1m, ml-100k, ml-latest-small, or a .toml file "
            "of your own.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Prepared data set.  [default: fetched, if lightrec data get can]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for everything that is written.  [default: reproduced/RECIPE]", show_default=False
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each student.  [default: the recipe's]", min=1)] = None,
    split: Annotated[
        Literal["leave-one-out", "temporal"] | None,
        typer.Option(help="How the data is divided.  [default: the recipe's]", show_default=False),
    ] = None,
    device: DeviceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and do nothing.")] = False,
) -> None:
    """Make the whole comparison of one data set again, from its recipe: baselines, teachers, students, bundles.

    Prints and runs the commands that you would give one by one; then compares the students over users and seeds,
    and writes every figure with its settings to OUT/results.jsonl. Hours on two cores for most recipes. Given again,
    it goes on from what is done. A baseline that is not made for so many items is left out, and so is a bundle that
    loses too much.

    **Examples**

    ```
    lightrec reproduce ml-100k
    lightrec reproduce default --data prepared/my-shop
    lightrec reproduce ml-100k --seeds 1 --split temporal --out reproduced/in-time
    lightrec reproduce beauty --data prepared/amazon14-beauty --dry-run
    lightrec reproduce my-shop.toml --data prepared/my-shop
    ```
    """
    from lightrec.benchmarks.recipes.recipe import open_recipe
    from lightrec.benchmarks.recipes.reproduce_steps import reproduce_steps, settings_files
    from lightrec.benchmarks.recipes.reproduction import Layout
    from lightrec.cli.recipes.run_steps import run_steps

    changes = {key: value for key, value in (("seeds", seeds), ("split", split)) if value is not None}
    opened = open_recipe(recipe, **changes)
    if data is None:
        _check_known(opened)
    out = out or Path("reproduced") / opened.name
    layout = Layout(out=out, data=data or out / "data")
    steps = reproduce_steps(opened, layout, fetch=data is None, device=device)
    files = settings_files(opened, layout)
    if dry_run:
        _print_script(files, steps)
        return
    started = time.monotonic()
    _write_settings(files)
    refused = run_steps(steps)
    _show_results(opened, layout, data is None, device)
    for title, why in refused.items():
        console.print(f"Left out: {title}. {why}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Rows: {layout.results}; this took {(time.monotonic() - started) / 60:.0f} minutes.", soft_wrap=True)


def _check_known(recipe: Recipe) -> None:
    from lightrec.data.public.catalog import KNOWN
    from lightrec.errors import ConfigError

    name = recipe.frame.data
    if name not in KNOWN and not name.startswith("amazon-2023/"):
        raise ConfigError(
            f"The recipe {recipe.name} is for {name}, which lightrec data get cannot fetch: prepare it with lightrec "
            "data prepare, and give its folder with --data."
        )


def _print_script(files: dict[Path, str], steps: list[Step]) -> None:
    """The commands as a shell script, with the settings that they read."""
    for path, text in files.items():
        typer.echo(f"mkdir -p {shlex.quote(str(path.parent))} && cat > {shlex.quote(str(path))} <<'END'\n{text}END")
    for step in steps:
        typer.echo(step.line)


def _write_settings(files: dict[Path, str]) -> None:
    from lightrec.files.atomic import write_text

    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def _show_results(recipe: Recipe, layout: Layout, fetch: bool, device: str | None) -> None:
    from lightrec.benchmarks.quality_rows import comparison_lines
    from lightrec.benchmarks.recipes.reproduce_steps import commands
    from lightrec.benchmarks.recipes.reproduction import Reproduction
    from lightrec.benchmarks.report.quality_table import quality_table
    from lightrec.benchmarks.row_types import rows_of_kind
    from lightrec.benchmarks.rows import append_rows

    known = commands(recipe, fetch, layout)
    console.print()
    with console.status("Collecting") as status:
        rows = Reproduction(recipe, layout, known, device, progress=lambda words: status.update(f"{words} ...")).rows()
    layout.results.unlink(missing_ok=True)
    append_rows(layout.results, rows)
    compared = _of_kind(rows, "comparison")
    console.rule(styled("[bold]What came out[/]"))
    console.print(quality_table(rows_of_kind(rows, "quality")))
    if compared:
        console.print(comparison_lines(compared), markup=False, highlight=False, soft_wrap=True)


def _of_kind(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind]
