"""What the commands share: the options that mean the same everywhere, and how results are printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightrec.terminal import SafeConsole, json_text, styled

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "WORDS",
    "BundleArgument",
    "ConfigOption",
    "DeviceOption",
    "JsonOption",
    "OutOption",
    "command_line",
    "console",
    "print_json",
    "progress_bar",
    "progress_console",
    "styled",
]

console = SafeConsole()
"""Where people read: tables and sentences. Strings are shown as they are; see :func:`lightrec.terminal.styled`."""
progress_console = SafeConsole(stderr=True)
"""Where people see long work move: standard error."""

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder written by lightrec export.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.", show_default=False)]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with options; flags win over it.")]


WORDS = "lightrec.words"
"""Under this name a context's ``meta`` holds the words of its command line, after ``lightrec``."""


def command_line(context: typer.Context) -> list[str]:
    """The words of the command that runs in ``context``, as a user would give it: also where another one runs it."""
    return ["lightrec", *context.meta.get(WORDS, sys.argv[1:])]


def progress_bar() -> Progress:
    """A bar on standard error that is gone at the end; descriptions are shown as they are."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = TextColumn("{task.description}", style="progress.description", markup=False)
    columns = (words, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=progress_console, transient=True)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON on standard output, plain and complete, whatever the output's encoding."""
    typer.echo(json_text(value, getattr(sys.stdout, "encoding", None) or "utf-8"))
