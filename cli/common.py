"""What the commands share: the options that mean the same everywhere, and how results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console()
"""Where people read: tables, progress and sentences."""

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder written by lightrec export.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder to write.", show_default=False)]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with options; flags win over it.")]


def print_json(value: Any) -> None:
    """Print ``value`` as JSON on standard output, plain and complete."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
