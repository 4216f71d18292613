"""Progress of long work: a bar with an estimate of the time left on a terminal, occasional lines elsewhere."""

from __future__ import annotations

from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lightrec.terminal import SafeConsole
from lightrec.training.loop import processes


class Reporter(Protocol):
    """Receiver of the progress of long work."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Begin work of ``total`` steps, ``done`` of which are already complete."""

    def advance(self, done: int) -> None:
        """Report that ``done`` steps are complete."""

    def note(self, text: str) -> None:
        """Show a line of text."""

    def stop(self) -> None:
        """End the work."""


class ProgressBar:
    """A :class:`Reporter` that writes to standard error; of several processes only the main one writes."""

    def __init__(self, console: SafeConsole | None = None):
        self.console = console or SafeConsole(stderr=True, quiet=not processes.is_main())
        self.progress: Progress | None = None

    def start(self, what: str, total: int, done: int = 0) -> None:
        """See :class:`Reporter`."""
        self.stop()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.task = self.progress.add_task(what, total=total, completed=done, note="")
        self.progress.start()

    def advance(self, done: int) -> None:
        """See :class:`Reporter`."""
        if self.progress:
            self.progress.update(self.task, completed=done)

    def note(self, text: str) -> None:
        """See :class:`Reporter`."""
        if self.progress and self.console.is_terminal:
            self.progress.update(self.task, note=text)
        else:
            self.console.print(text, highlight=False)

    def stop(self) -> None:
        """See :class:`Reporter`."""
        if self.progress:
            self.progress.stop()
            self.progress = None


class Silent:
    """A :class:`Reporter` that shows nothing."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """See :class:`Reporter`."""

    def advance(self, done: int) -> None:
        """See :class:`Reporter`."""

    def note(self, text: str) -> None:
        """See :class:`Reporter`."""

    def stop(self) -> None:
        """See :class:`Reporter`."""
