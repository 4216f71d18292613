"""``lightrec finetune``: stage 1, a language model becomes the teacher."""

from __future__ import annotations

import shlex

import typer

from lightrec.cli.options import ConfigOption, JsonOption, OutOption
from lightrec.cli.training.settings_options import settings_options
from lightrec.cli.training.shared_options import DataArgument, RecipeOption, make_settings, print_run
from lightrec.settings import FinetuneSettings


@settings_options(FinetuneSettings, without={"negatives"})
def finetune(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    config: ConfigOption = None,
    recipe: RecipeOption = None,
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

    settings = make_settings(FinetuneSettings, context)
    record = run_finetune(data, out, settings)
    again = shlex.join(["lightrec", "distill", str(data), "--teacher", str(out), "--out", "runs/student"])
    print_run(record, out, json, again)
