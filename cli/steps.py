"""Commands given one after the other, as a user would give them: what demo and reproduce share."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from lightrec.cli.common import console, styled
from lightrec.errors import LightrecError, ModelError

Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """One command."""

    title: str
    """What it is for, in a few words."""
    words: Words
    """The command's words after ``lightrec``."""
    done: Path | None
    """The file that is there once it has finished; None for a command that is given every time."""
    quiet: bool = False
    """Whether its output is left out, because the tables at the end show it."""
    source: Path | None = None
    """What ``done`` was made from: with a newer one the command is given again."""
    optional: bool = False
    """Whether the others go on without it where it is refused."""

    @property
    def line(self) -> str:
        """The command as a user would type it."""
        return shlex.join(("lightrec", *self.words))

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        if self.done is None or not self.done.exists():
            return False
        return self.source is None or self.source.stat().st_mtime_ns <= self.done.stat().st_mtime_ns


def run_steps(steps: Sequence[Step]) -> dict[str, str]:
    """Print and run each command; those that are done are left out.

    Returns:
        why, by their titles, optional steps were refused.
    """
    refused: dict[str, str] = {}
    for number, step in enumerate(steps, start=1):
        if step.optional and step.source is not None and not step.source.exists():
            continue  # it was to be made by a step that was refused
        try:
            _run(f"[{number}/{len(steps)}] ", step)
        except LightrecError as error:
            if not step.optional:
                raise
            refused[step.title] = str(error)
            console.print(styled("[yellow]left out[/]: {error}", error=error), soft_wrap=True)
    return refused


def _run(number: str, step: Step) -> None:
    from lightrec.cli.app import app

    console.print()
    console.print(styled("[dim]{number}[/][bold]{title}[/]", number=number, title=step.title))
    console.print(f"$ {step.line}", style="cyan", highlight=False, soft_wrap=True)
    if step.is_done:
        console.print(styled("[green]✓[/] done before"))
        return
    started = time.monotonic()
    console.quiet = step.quiet
    try:
        code = app(list(step.words), standalone_mode=False)
    finally:
        console.quiet = False
    if code:
        raise ModelError(f"{step.line} ended with exit code {code}: see what it says above.")
    if step.done and not step.done.exists():
        step.done.touch()
    console.print(styled("[green]✓[/] [dim]{seconds:.0f} s[/]", seconds=time.monotonic() - started))
