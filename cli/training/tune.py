"""``lightrec tune``: a bounded search for the hyper-parameters of train or distill."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from lightrec.cli.options import ConfigOption, JsonOption, OutOption, console, print_json, styled
from lightrec.cli.training.settings_options import settings_options
from lightrec.cli.training.shared_options import DataArgument, make_settings
from lightrec.settings import StudentSettings

SHARED = (
    *("student", "num_heads", "max_length", "epochs", "batch_size", "patience"),
    *("split", "quantile", "seed", "device"),
)
"""Settings that all trials share; the search chooses the others."""


@settings_options(StudentSettings, only=SHARED)
def tune(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    command: Annotated[Literal["train", "distill"], typer.Option(help="Which command's settings to search.")] = "train",
    teachers: Annotated[
        list[str] | None,
        typer.Option("--teacher", metavar="RUN", help="distill: run folder of a teacher; repeat it for several."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Most students to train, each with one seed and early stopping.")] = 15,
    sampler: Annotated[Literal["tpe", "random"], typer.Option(help="How the next trial is chosen.")] = "tpe",
    hidden_sizes: Annotated[
        list[int] | None,
        typer.Option("--hidden-size", help="Width to try; repeat it for several.  [default: the settings' own]"),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Search hyper-parameters of train or distill on validation NDCG@10, within a fixed budget.

    Searched are learning rate, dropout, weight decay and number of layers; with distill temperature and distillation
    weight too; and the widths given. What the --config file holds is fixed. The first trial has the settings as they
    are. Give the same command again after an interruption, or with more --trials, and it goes on.

    OUT receives trials.jsonl (every trial), best.toml (a --config for the command) and the best trial's run folder.

    **Examples**

    ```
    lightrec tune prepared/ml-100k --hidden-size 64 --hidden-size 128 --out tuned/sasrec
    lightrec tune prepared/ml-100k --student gru4rec --sampler random --trials 10 --out tuned/gru4rec
    lightrec tune prepared/ml-100k --command distill --teacher runs/teacher --out tuned/student
    lightrec train prepared/ml-100k --config tuned/sasrec/best.toml --seed 1 --out runs/tuned-1
    ```
    """
    from lightrec.config import read_toml
    from lightrec.errors import ConfigError
    from lightrec.settings import DistillSettings
    from lightrec.training.tune import search, space_of

    if teachers and command == "train":
        raise ConfigError("--teacher belongs to distill: add --command distill, or leave it out.")
    settings = make_settings(DistillSettings if command == "distill" else StudentSettings, context)
    space = space_of(settings, hidden_sizes or (), () if config is None else read_toml(config))
    found = search(data, out, settings, space, trials=trials, sampler=sampler)
    if json:
        print_json({"path": str(out), **found})
        return
    best = found["best"]
    chosen = ", ".join(f"{name} {value:g}" for name, value in best["parameters"].items())
    words = "[bold green]✓[/] {out}: validation NDCG@10 [bold]{ndcg:.4f}[/], best of {trials} trials ({chosen})"
    told = styled(words, out=out, ndcg=best["ndcg@10"], trials=found["trials"], chosen=chosen)
    console.print(told, soft_wrap=True)
    again = shlex.join(
        ["lightrec", command, str(data), "--config", f"{out}/best.toml", "--seed", "1", "--out", f"{out}-1"]
    )
    console.print(f"  next:  {again}", style="dim", highlight=False, soft_wrap=True)
