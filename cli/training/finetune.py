"""``lightrec finetune``: stage 1, a language model becomes the teacher."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from lightrec.cli.options import ConfigOption, DeviceOption, JsonOption, OutOption
from lightrec.cli.training.shared_options import (
    DataArgument,
    GradientAccumulationOption,
    MaxLengthOption,
    PrecisionOption,
    QuantileOption,
    RecipeOption,
    ReportToOption,
    SeedOption,
    SplitOption,
    TeacherBatchSizeOption,
    TeacherDropoutOption,
    TeacherEpochsOption,
    TeacherLearningRateOption,
    TeacherPatienceOption,
    make_settings,
    option,
    print_run,
)


def finetune(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    base: Annotated[
        str | None,
        option("--base", "Language model: a path or hub id.", "sentence-transformers/all-MiniLM-L6-v2"),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Start from the teacher of other data: its layers, not its items."),
    ] = None,
    lora: Annotated[
        int | None, option("--lora", "Rank of low-rank adapters; 0 trains the layers themselves.", 0)
    ] = None,
    item_input: Annotated[str | None, option("--item-input", "Items as ids, text or both.", "both")] = None,
    objective: Annotated[str | None, option("--objective", "causal or masked.", "causal")] = None,
    recipe: RecipeOption = None,
    epochs: TeacherEpochsOption = None,
    batch_size: TeacherBatchSizeOption = None,
    gradient_accumulation: GradientAccumulationOption = None,
    precision: PrecisionOption = None,
    learning_rate: TeacherLearningRateOption = None,
    item_learning_rate: Annotated[
        float | None,
        option("--item-learning-rate", "The same, for item vectors and head.", 0.005),
    ] = None,
    max_length: MaxLengthOption = None,
    dropout: TeacherDropoutOption = None,
    patience: TeacherPatienceOption = None,
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
    lightrec finetune prepared/ml-100k --base ./my-llm --lora 8 --learning-rate 1e-3 --out runs/adapted
    lightrec finetune prepared/beauty --from runs/games-teacher --out runs/carried-over
    lightrec finetune prepared/ml-100k --recipe paper --out runs/paper-teacher
    ```
    """
    from lightrec.training.finetune import finetune as run_finetune
    from lightrec.training.settings import FinetuneSettings

    settings = make_settings(FinetuneSettings, context)
    record = run_finetune(data, out, settings)
    again = shlex.join(["lightrec", "distill", str(data), "--teacher", str(out), "--out", "runs/student"])
    print_run(record, out, json, again)
