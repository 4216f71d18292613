"""What finetune, train and distill share: their options, and how settings come together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lightrec.cli.options import console, print_json, styled

T = TypeVar("T")

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Prepared data set (see lightrec data prepare).", show_default=False)
]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="Named configuration: default, or paper (arXiv 2409.14810).")
]


def make_settings(kind: type[T], context: typer.Context) -> T:
    """The effective settings: defaults, then the recipe, then the file, then the flags that were given.

    Args:
        kind: the dataclass of settings; options of the command that carry a field's name are its flags.
        context: the command's context, with ``config`` (a TOML file) and perhaps ``recipe`` (a name of
            :data:`lightrec.settings.RECIPES`) among its parameters.

    Raises:
        ConfigError: if the recipe is unknown, or the values are refused; all mistakes are named at once.
    """
    from lightrec.config import from_mapping, read_toml
    from lightrec.errors import ConfigError
    from lightrec.settings import RECIPES

    given = {key: value for key, value in context.params.items() if value not in (None, [], ())}
    config, recipe = given.get("config"), given.get("recipe", "default")
    if recipe not in RECIPES:
        raise ConfigError(f"--recipe {recipe} is not known: choose {' or '.join(RECIPES)}.")
    values = dict(RECIPES[recipe].get(context.info_name or "", {}))
    if config is not None:
        values |= read_toml(config)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values |= {key: value for key, value in given.items() if key in known}
    return from_mapping(kind, values, "the options" if config is None else f"the options and {config}")


def print_run(record: dict[str, Any], out: Path, json: bool, next_command: str) -> None:
    """Say how a run ended, and what to do with it; of several processes only the main one does."""
    from lightrec.training.loop import processes

    if not processes.is_main():
        return
    if json:
        print_json({"path": str(out), **record})
        return
    best = record["validation"]
    told = styled(
        "[bold green]✓[/] {out}: validation NDCG@10 [bold]{ndcg:.4f}[/], HR@10 {hr:.4f} "
        "(epoch {epoch} of {epochs}, {seconds:.0f} s)",
        out=out,
        ndcg=best["ndcg@10"],
        hr=best["hr@10"],
        epoch=best["epoch"],
        epochs=record["epochs_trained"],
        seconds=record["seconds"],
    )
    console.print(told)
    console.print(f"  next:  {next_command}", style="dim", highlight=False, soft_wrap=True)
