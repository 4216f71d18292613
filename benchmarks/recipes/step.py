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
    """The step's purpose, in a few words."""
    words: Words
    """The command's words after ``lightrec``."""
    done: Path | None
    """The file that exists once it has finished; None for a command that is run every time."""
    quiet: bool = False
    """Whether its output is left out, because the tables at the end show it."""
    source: Path | None = None
    """The file that ``done`` was made from; if it is newer than ``done``, the command is run again."""
    optional: bool = False
    """Whether the other steps continue if this one is refused."""

    @property
    def line(self) -> str:
        """Return the command as a user would type it."""
        return shlex.join(("lightrec", *self.words))

    @property
    def is_done(self) -> bool:
        """Return whether there is nothing left to do."""
        if self.done is None or not self.done.exists():
            return False
        return self.source is None or self.source.stat().st_mtime_ns <= self.done.stat().st_mtime_ns
