"""Commands given one after the other, as a user would give them: what demo and reproduce share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightrec.cli.options import console, styled
from lightrec.errors import LightrecError, ModelError

if TYPE_CHECKING:
    from lightrec.benchmarks.recipes.step import Step


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
