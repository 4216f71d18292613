"""What finetune, train and distill share: their options, and how settings come together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lightrec.cli.common import console, print_json

T = TypeVar("T")

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Prepared data set (see lightrec data prepare).", show_default=False)
]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="Named configuration: default, or paper (arXiv 2409.14810).")
]
StudentOption = Annotated[str | None, typer.Option("--student", help="sasrec or mini-bert.")]
HiddenSizeOption = Annotated[int | None, typer.Option("--hidden-size", help="Width of the item vectors, d.")]
NumLayersOption = Annotated[int | None, typer.Option("--num-layers", help="Transformer layers.")]
NumHeadsOption = Annotated[int | None, typer.Option("--num-heads", help="Attention heads.")]
MaxLengthOption = Annotated[int | None, typer.Option("--max-length", help="Most items of a history that are read.")]
DropoutOption = Annotated[float | None, typer.Option("--dropout", help="Dropout, in training only.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Most passes over the data.")]
BatchSizeOption = Annotated[int | None, typer.Option("--batch-size", help="Windows of a history in one step.")]
LearningRateOption = Annotated[float | None, typer.Option("--learning-rate", help="Highest learning rate.")]
PatienceOption = Annotated[
    int | None, typer.Option("--patience", help="Validations without progress before stopping; 0 never stops early.")
]
SplitOption = Annotated[str | None, typer.Option("--split", help="leave-one-out or temporal.")]
QuantileOption = Annotated[float | None, typer.Option("--quantile", help="Where the temporal split cuts.")]
ReportToOption = Annotated[
    str | None, typer.Option("--report-to", help="Trackers known to transformers' Trainer: tensorboard, wandb, ...")
]


def make_settings(kind: type[T], context: typer.Context) -> T:
    """The effective settings: defaults, then the recipe, then the file, then the flags that were given.

    Args:
        kind: the dataclass of settings; options of the command that carry a field's name are its flags.
        context: the command's context, with ``config`` (a TOML file) and perhaps ``recipe`` (a name of
            :data:`lightrec.training.settings.RECIPES`) among its parameters.

    Raises:
        ConfigError: if the recipe is unknown, or the values are refused; all mistakes are named at once.
    """
    from lightrec.config import from_mapping, read_toml
    from lightrec.errors import ConfigError
    from lightrec.training.settings import RECIPES

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
    """Say how a run ended, and what to do with it."""
    if json:
        print_json({"path": str(out), **record})
        return
    best = record["validation"]
    console.print(
        f"[bold green]✓[/] {out}: validation NDCG@10 [bold]{best['ndcg@10']:.4f}[/], HR@10 {best['hr@10']:.4f} "
        f"(epoch {best['epoch']} of {record['epochs_trained']}, {record['seconds']:.0f} s)",
        highlight=False,
    )
    console.print(f"  next:  {next_command}", style="dim", highlight=False, soft_wrap=True)
