"""The command ``lightrec``: every command in one list, and the one place where errors become exit codes."""

from __future__ import annotations

import sys

import typer

from lightrec.cli import data
from lightrec.cli.bench import bench
from lightrec.cli.distill import distill
from lightrec.cli.doctor import doctor
from lightrec.cli.evaluate import evaluate
from lightrec.cli.export import export
from lightrec.cli.finetune import finetune
from lightrec.cli.recommend import recommend
from lightrec.cli.train import train
from lightrec.cli.verify import verify
from lightrec.errors import LightrecError

app = typer.Typer(
    name="lightrec",
    help="Small sequential recommenders, distilled from language models, that run anywhere.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command()(finetune)
app.command()(train)
app.command()(distill)
app.command()(evaluate)
app.command()(export)
app.command()(bench)
app.command()(recommend)
app.command()(verify)
app.command()(doctor)


def main() -> None:
    """Run the command line; a :class:`LightrecError` is printed as one sentence and exits with code 2."""
    try:
        app()
    except LightrecError as error:
        typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("Stopped. Run the same command again to go on from what is saved.", err=True)
        sys.exit(130)
