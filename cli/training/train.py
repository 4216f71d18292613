"""``lightrec train``: a student without a teacher, the baseline."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from lightrec.cli.options import ConfigOption, DeviceOption, JsonOption, OutOption
from lightrec.cli.training.shared_options import (
    BaseOption,
    BatchSizeOption,
    DataArgument,
    DropoutOption,
    EpochsOption,
    FromStudentOption,
    GradientAccumulationOption,
    HiddenSizeOption,
    HoldOutItemsOption,
    LearningRateOption,
    MaxLengthOption,
    NegativesOption,
    NumHeadsOption,
    NumLayersOption,
    PatienceOption,
    PrecisionOption,
    QuantileOption,
    ReportToOption,
    SeedOption,
    SplitOption,
    StudentOption,
    make_settings,
    option,
    print_run,
)


def train(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    student: StudentOption = None,
    from_run: FromStudentOption = None,
    init_items: Annotated[
        str | None,
        option("--init-items", "What the item table starts from: text or none (random).", "none"),
    ] = None,
    base: BaseOption = None,
    hidden_size: HiddenSizeOption = None,
    neighbours: Annotated[
        int | None,
        option("--neighbours", "Items that each item votes for beside the layers, 3 bytes each; 0 for none.", "0"),
    ] = None,
    num_layers: NumLayersOption = None,
    num_heads: NumHeadsOption = None,
    max_length: MaxLengthOption = None,
    dropout: DropoutOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    gradient_accumulation: GradientAccumulationOption = None,
    precision: PrecisionOption = None,
    learning_rate: LearningRateOption = None,
    negatives: NegativesOption = None,
    patience: PatienceOption = None,
    split: SplitOption = None,
    quantile: QuantileOption = None,
    hold_out_items: HoldOutItemsOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    report_to: ReportToOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Train a student on the data alone: the baseline that distillation has to beat.

    Full-catalogue cross-entropy at every position, early stopping on validation NDCG@10. Give the same command
    again after an interruption and it goes on. Under accelerate launch several processes share each step: the batch
    size stays that of all of them.

    **Examples**

    ```
    lightrec train prepared/ml-100k --student sasrec --out runs/sasrec
    lightrec train prepared/ml-100k --hidden-size 128 --dropout 0.5 --epochs 60 --out runs/wide
    accelerate launch --multi_gpu --num_processes 2 -m lightrec train prepared/ml-100k --device cpu --out runs/two
    lightrec train prepared/today --from runs/yesterday --epochs 5 --out runs/today
    lightrec train prepared/ml-100k --config runs/sasrec/settings.toml --seed 1 --out runs/sasrec-1
    ```
    """
    from lightrec.training.settings import StudentSettings
    from lightrec.training.train_student import train as run_train

    settings = make_settings(StudentSettings, context)
    record = run_train(data, out, settings)
    print_run(record, out, json, shlex.join(["lightrec", "evaluate", str(out), str(data)]))
