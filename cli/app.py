"""The command ``lightrec``: every command in one list, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lightrec.cli import data, items
from lightrec.cli.bench import bench
from lightrec.cli.compare import compare
from lightrec.cli.demo import demo
from lightrec.cli.distill import distill
from lightrec.cli.doctor import doctor
from lightrec.cli.evaluate import evaluate
from lightrec.cli.export import export
from lightrec.cli.finetune import finetune
from lightrec.cli.package import package
from lightrec.cli.recommend import recommend
from lightrec.cli.report import report
from lightrec.cli.reproduce import reproduce
from lightrec.cli.serve import serve
from lightrec.cli.teacher_scores import teacher_scores
from lightrec.cli.train import train
from lightrec.cli.tune import tune
from lightrec.cli.verify import verify
from lightrec.errors import LightrecError


class _DataFirst(TyperGroup):
    """Lists the commands in the order of use: Typer alone would put the group ``data`` last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "data")


app = typer.Typer(
    name="lightrec",
    cls=_DataFirst,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command()(finetune)
app.command()(train)
app.command()(teacher_scores)
app.command()(distill)
app.command()(tune)
app.command()(evaluate)
app.command()(export)
app.add_typer(items.app, name="items")
app.command()(package)
app.command()(bench)
app.command()(report)
app.command()(compare)
app.command()(recommend)
app.command()(serve)
app.command()(verify)
app.command()(doctor)
app.command()(demo)
app.command()(reproduce)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lightrec {version('lightrec')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Small sequential recommenders, distilled from language models, that run anywhere.

    **Examples**

    ```
    lightrec data get ml-100k --out prepared/ml-100k
    lightrec train prepared/ml-100k --student sasrec --out runs/sasrec
    lightrec export runs/sasrec --out bundles/sasrec
    lightrec recommend bundles/sasrec --history 50,181
    ```

    Every command has examples of its own: lightrec COMMAND --help.
    """


def main() -> None:
    """Run the command line; an expected error is printed as one sentence and exits with code 2."""
    try:
        app()
    except LightrecError as error:
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.secho(f"Error: {error.filename}: {error.strerror}.", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("Stopped. Run the same command again to go on from what is saved.", err=True)
        sys.exit(130)
