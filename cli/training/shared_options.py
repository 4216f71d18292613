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


def option(flag: str, help: str, default: object = None) -> typer.models.OptionInfo:
    """An option that is None unless given; ``default`` names in the help what the settings then say (a test agrees)."""
    return typer.Option(flag, help=help if default is None else f"{help}  [default: {default}]")


StudentOption = Annotated[str | None, option("--student", "sasrec, mini-bert or gru4rec.", "sasrec")]
HiddenSizeOption = Annotated[int | None, option("--hidden-size", "Width of the item vectors, d.", 64)]
NumLayersOption = Annotated[int | None, option("--num-layers", "Layers of the student.", 2)]
NumHeadsOption = Annotated[int | None, option("--num-heads", "Attention heads.", 2)]
MaxLengthOption = Annotated[int | None, option("--max-length", "Most items of a history that are read.", 50)]
BaseOption = Annotated[
    str | None,
    option(
        "--base",
        "Language model that reads item texts: local path or hub id.",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
]
NegativesOption = Annotated[
    int | None, option("--negatives", "Items drawn for a sampled softmax; 0: all, up to 100,000.", 0)
]
SplitOption = Annotated[str | None, option("--split", "leave-one-out or temporal.", "leave-one-out")]
QuantileOption = Annotated[float | None, option("--quantile", "Where the temporal split cuts.", 0.9)]
HoldOutItemsOption = Annotated[
    float | None,
    option("--hold-out-items", "Share of the items kept out, for lightrec evaluate --cold-items.", 0.0),
]
FromStudentOption = Annotated[
    str | None, typer.Option("--from", metavar="RUN", help="Go on from this student; new items join it.")
]
GradientAccumulationOption = Annotated[
    int | None, option("--gradient-accumulation", "Parts in which a step is computed, to save memory.", 1)
]
PrecisionOption = Annotated[str | None, option("--precision", "fp32, bf16, or auto (bf16 where there is any).", "fp32")]
SeedOption = Annotated[int | None, option("--seed", "Makes the run repeatable.", 0)]
ReportToOption = Annotated[
    str | None,
    option("--report-to", "Trackers known to transformers' Trainer: tensorboard, wandb, ...", "none"),
]


def _epochs(default: int) -> typer.models.OptionInfo:
    return option("--epochs", "Most passes over the data.", default)


def _batch_size(default: int) -> typer.models.OptionInfo:
    return option("--batch-size", "Windows of a history in one step, on all processes together.", default)


def _learning_rate(default: float) -> typer.models.OptionInfo:
    return option("--learning-rate", "Highest learning rate.", default)


def _dropout(default: float) -> typer.models.OptionInfo:
    return option("--dropout", "Dropout, in training only.", default)


def _patience(default: int) -> typer.models.OptionInfo:
    return option("--patience", "Validations without progress before stopping; 0 never stops early.", default)


EpochsOption = Annotated[int | None, _epochs(60)]
BatchSizeOption = Annotated[int | None, _batch_size(128)]
LearningRateOption = Annotated[
    float | None, option("--learning-rate", "Highest learning rate; 0 chooses it by the size of the data.", 0.0)
]
DropoutOption = Annotated[float | None, _dropout(0.5)]
PatienceOption = Annotated[int | None, _patience(10)]

TeacherEpochsOption = Annotated[int | None, _epochs(8)]
TeacherBatchSizeOption = Annotated[int | None, _batch_size(16)]
TeacherLearningRateOption = Annotated[float | None, _learning_rate(0.0001)]
TeacherDropoutOption = Annotated[float | None, _dropout(0.2)]
TeacherPatienceOption = Annotated[int | None, _patience(3)]


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
