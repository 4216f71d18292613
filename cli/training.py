"""What finetune, train and distill share: their options, and how settings come together."""

from __future__ import annotations

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


def make_settings(kind: type[T], stage: str, config: Path | None, recipe: str | None, flags: dict[str, Any]) -> T:
    """The effective settings: defaults, then the recipe, then the file, then the flags that were given.

    Args:
        kind: the dataclass of settings.
        stage: ``finetune``, ``train`` or ``distill``: which part of the recipe applies.
        config: a TOML file, or None.
        recipe: a name of :data:`lightrec.training.settings.RECIPES`, or None.
        flags: the options of the command line; None means not given.

    Raises:
        ConfigError: if the recipe is unknown, or the values are refused; all mistakes are named at once.
    """
    from lightrec.config import from_mapping, read_toml
    from lightrec.errors import ConfigError
    from lightrec.training.settings import RECIPES

    if recipe is not None and recipe not in RECIPES:
        raise ConfigError(f"--recipe {recipe} is not known: choose {' or '.join(RECIPES)}.")
    values = dict(RECIPES[recipe or "default"].get(stage, {}))
    if config is not None:
        values |= read_toml(config)
    values |= {key: value for key, value in flags.items() if value is not None}
    source = f"the options and {config}" if config is not None else "the options"
    return from_mapping(kind, values, source)


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
