"""``lightrec train``: a student without a teacher, the baseline."""

from __future__ import annotations

import shlex

import typer

from lightrec.cli.options import ConfigOption, JsonOption, OutOption
from lightrec.cli.training.settings_options import settings_options
from lightrec.cli.training.shared_options import DataArgument, make_settings, print_run
from lightrec.settings import StudentSettings


@settings_options(StudentSettings)
def train(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
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
    from lightrec.training.train_student import train as run_train

    settings = make_settings(StudentSettings, context)
    record = run_train(data, out, settings)
    print_run(record, out, json, shlex.join(["lightrec", "evaluate", str(out), str(data)]))
