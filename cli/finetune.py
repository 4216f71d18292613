"""``lightrec finetune``: stage 1, a language model becomes the teacher."""

from __future__ import annotations

from typing import Annotated

import typer

from lightrec.cli.common import ConfigOption, DeviceOption, JsonOption, OutOption, SeedOption
from lightrec.cli.training import (
    BatchSizeOption,
    DataArgument,
    DropoutOption,
    EpochsOption,
    LearningRateOption,
    MaxLengthOption,
    PatienceOption,
    QuantileOption,
    RecipeOption,
    ReportToOption,
    SplitOption,
    make_settings,
    print_run,
)


def finetune(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    base: Annotated[
        str | None,
        typer.Option("--base", help="Language model: a path or hub id.  [default: all-MiniLM-L6-v2]"),
    ] = None,
    item_input: Annotated[
        str | None, typer.Option("--item-input", help="Items as ids, text or both.  [default: both]")
    ] = None,
    objective: Annotated[str | None, typer.Option("--objective", help="causal or masked.  [default: causal]")] = None,
    recipe: RecipeOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    learning_rate: LearningRateOption = None,
    item_learning_rate: Annotated[
        float | None, typer.Option("--item-learning-rate", help="The same, for item vectors and head.")
    ] = None,
    max_length: MaxLengthOption = None,
    dropout: DropoutOption = None,
    patience: PatienceOption = None,
    split: SplitOption = None,
    quantile: QuantileOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    report_to: ReportToOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fine-tune a pre-trained language model on interactions: stage 1, the teacher.

    A user's history passes through the model's own transformer layers, one item a position; an item's vector is a
    learnt id embedding, the model's encoding of its text, or both. Give the same command again after an
    interruption and it goes on.

    **Examples**

    ```
    lightrec finetune prepared/ml-100k --out runs/teacher
    lightrec finetune prepared/ml-100k --base ./my-gpt2 --item-input text --epochs 3 --out runs/text-teacher
    lightrec finetune prepared/ml-100k --recipe paper --out runs/paper-teacher
    ```
    """
    from lightrec.training.finetune import finetune as run_finetune
    from lightrec.training.settings import FinetuneSettings

    settings = make_settings(FinetuneSettings, context)
    record = run_finetune(data, out, settings)
    print_run(record, out, json, f"lightrec distill {data} --teacher {out} --out runs/student")
