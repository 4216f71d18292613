"""One step of a recipe: a command, and how to tell that it has already run."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

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
