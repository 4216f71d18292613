"""``lightrec teacher-scores``: write a run's scores at the training positions to a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lightrec.cli.options import DeviceOption, JsonOption, console, print_json, styled


def teacher_scores(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a teacher or student.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Prepared data set that it was trained on.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.", show_default=False)],
    top: Annotated[int, typer.Option("--top", help="Number of items to write at each position.")] = 100,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Write a run's scores at every training position, to inspect them or to distil from them elsewhere.

    The file has the columns user, position, item and score (a log-probability): the form in which any other system
    can become a teacher, see lightrec distill --help.

    **Examples**

    ```
    lightrec teacher-scores runs/teacher prepared/ml-100k --out teacher.parquet
    lightrec distill prepared/ml-100k --teacher-scores teacher.parquet --out runs/student
    ```
    """
    from lightrec.training.teachers.write_score_file import write_teacher_scores

    written = write_teacher_scores(run, data, out, top=top, device=device or "auto")
    if json:
        print_json(written)
        return
    words = "[bold green]✓[/] {out}: {rows:,} rows at {positions:,} positions"
    console.print(styled(words, out=out, rows=written["rows"], positions=written["positions"]))
    again = shlex.join(["lightrec", "distill", str(data), "--teacher-scores", str(out), "--out", "runs/student"])
    console.print(f"  next:  {again}", style="dim", highlight=False, soft_wrap=True)
