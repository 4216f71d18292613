"""``lightrec distill``: stage 2, teachers become a student."""

from __future__ import annotations

import shlex

import typer

from lightrec.cli.options import ConfigOption, JsonOption, OutOption
from lightrec.cli.training.settings_options import settings_options
from lightrec.cli.training.shared_options import DataArgument, RecipeOption, make_settings, print_run
from lightrec.settings import DistillSettings


@settings_options(DistillSettings, without={"hold_out_items"})
def distill(
    context: typer.Context,
    data: DataArgument,
    out: OutOption,
    config: ConfigOption = None,
    recipe: RecipeOption = None,
    json: JsonOption = False,
) -> None:
    """Distil one or several teachers into a small student: stage 2.

    The student learns the teachers' temperature-softened distribution over the whole catalogue and the true items
    together, at every position. The outputs of several teachers are averaged, weighted by their validation
    quality. They are computed once and cached in the first teacher's folder, so that distilling again needs no teacher.
    Give the same command again after an interruption and it goes on.

    A teacher may be any other system: --teacher-scores takes a file (Parquet, CSV, JSON lines) with the columns user,
    position, item and score, or rank in its place. Position 3 is the user's fourth event: what the system would
    have shown after the first three. Positions that are left out are learnt from the true item alone.

    **Examples**

    ```
    lightrec distill prepared/ml-100k --teacher runs/teacher --student sasrec --out runs/student
    lightrec distill prepared/ml-100k --teacher runs/text --teacher runs/ids --temperature 4 --out runs/two
    lightrec distill prepared/ml-100k --teacher-scores ranked.parquet --out runs/from-scores
    lightrec distill prepared/today --teacher runs/teacher --from runs/yesterday --epochs 5 --out runs/today
    lightrec distill prepared/ml-100k --teacher runs/paper-teacher --recipe paper --out runs/paper
    ```
    """
    from lightrec.training.train_student import distill as run_distill

    settings = make_settings(DistillSettings, context)
    record = run_distill(data, out, settings)
    print_run(record, out, json, shlex.join(["lightrec", "export", str(out), "--out", "bundle"]))
