"""The command ``lightrec``: every command in one list, and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from lightrec.cli.benchmarks.bench import bench
from lightrec.cli.benchmarks.compare import compare
from lightrec.cli.benchmarks.report import report
from lightrec.cli.bundles import items
from lightrec.cli.bundles.export import export
from lightrec.cli.bundles.package import package
from lightrec.cli.bundles.recommend import recommend
from lightrec.cli.bundles.serve import serve
from lightrec.cli.bundles.verify import verify
from lightrec.cli.data import commands as data
from lightrec.cli.doctor import doctor
from lightrec.cli.number_ranges import check_numbers
from lightrec.cli.options import WORDS
from lightrec.cli.recipes.demo import demo
from lightrec.cli.recipes.reproduce import reproduce
from lightrec.cli.training.distill import distill
from lightrec.cli.training.evaluate import evaluate
from lightrec.cli.training.finetune import finetune
from lightrec.cli.training.teacher_scores import teacher_scores
from lightrec.cli.training.train import train
from lightrec.cli.training.tune import tune
from lightrec.errors import LightrecError, OutputError
from lightrec.files.cache_folder import settle
from lightrec.terminal import CLOSED, prepare_streams, visible

NOT_RESUMED = {
    *("data prepare", "data describe", "teacher-scores", "evaluate", "export"),
    *("items fit", "items add", "items remove", "items retitle"),
    *("package", "bench", "report", "compare", "recommend", "serve", "verify", "doctor"),
}
"""Commands that write only at the end, or nothing; all others resume where they were stopped."""


class _Command(TyperCommand):
    """Checks the numbers of its options before it runs."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        context = super().make_context(*arguments, **options)
        check_numbers(self.params, context.params)
        return context


class _Commands(TyperGroup):
    """Lists the commands in the order of use (Typer alone would put the group ``data`` last), and words its errors."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "data")

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **options: Any) -> Any:
        words = list(args)
        with _worded():
            context = super().make_context(info_name, args, *more, **options)
        context.meta.setdefault(WORDS, words)  # of the whole command line: a group within it comes later
        return context

    def invoke(self, ctx: Any) -> Any:
        with _worded():
            return super().invoke(ctx)


class _Interruption(BaseException):
    """Ctrl-C, which Typer would turn into a silent exit, or into a normal return in a nested command."""


def _shortened(word: re.Match[str]) -> str:
    """Return the start of an overlong word."""
    return f"{word[0][:60]}..."


@contextlib.contextmanager
def _worded() -> Iterator[None]:
    """Turn errors that Typer would print verbatim or ignore into sentences."""
    try:
        yield
    except BrokenPipeError:
        raise OutputError(CLOSED) from None
    except KeyboardInterrupt:
        raise _Interruption from None
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage: the message quotes what was typed
            error.message = re.sub(r"\S{300,}", _shortened, visible(error.message))  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    name="lightrec",
    cls=_Commands,
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
for _commands in (app, data.app, items.app):
    for _command in _commands.registered_commands:
        _command.cls = _Command


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

    For examples of each command: lightrec COMMAND --help.
    """


def main() -> None:
    """Run the command line; an expected error is printed as one sentence and exits with code 2."""
    prepare_streams()
    try:
        settle()
        try:
            app()
        finally:
            _finish_output()
    except LightrecError as error:
        _refuse(str(error))
    except MemoryError:
        _refuse("There is not enough memory: close other programs, or ask for less.")
    except OSError as error:
        _refuse(_output_failure(error) or _disk_failure(error) or _sentence_of(error))
    except (KeyboardInterrupt, _Interruption):
        typer.secho(_stopped(), err=True)
        sys.exit(130)
    except Exception as error:  # libraries wrap a full disk in exceptions of their own
        sentence = _disk_failure(error)
        if sentence is None:
            raise
        _refuse(sentence)


def _output_failure(error: OSError) -> str | None:
    """What to say where it was standard output that could not be written; None for all else."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    printing = frame.f_globals.get("__name__", "").partition(".")[0] in ("rich", "typer", "click")
    if error.filename is not None or not printing:
        return None
    _drop_output()
    return f"Standard output cannot be written ({error.strerror}): send it elsewhere."


def _stopped() -> str:
    """What Ctrl-C leaves behind."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if {" ".join(words[:1]), " ".join(words[:2])} & NOT_RESUMED:
        return "Stopped. Nothing was changed."
    return "Stopped. Run the same command again to go on from what is saved."


def _disk_failure(error: Exception) -> str | None:
    """What to say where a file could not be written, by the place that the command line names; None for all else."""
    from lightrec.files.write_failures import write_failure

    words = iter(sys.argv[1:])
    given = next((word for word in words if re.match(r"--out(=|$)", word)), None)
    place = given.removeprefix("--out").removeprefix("=") or next(words, "") if given else ""
    failure = write_failure(error, Path(place) if place else None)
    return None if failure is None else str(failure)


def _refuse(sentence: str) -> NoReturn:
    sentence = re.sub(r"\S{300,}", lambda found: f"{found[0][:100]}...{found[0][-100:]}", sentence)
    with contextlib.suppress(OSError):  # standard error may be closed or full as well
        typer.secho(f"Error: {visible(sentence)}", fg=typer.colors.RED, err=True)
    sys.exit(2)


def _finish_output() -> None:
    """Write what standard output still holds back; at its end Python itself would only grumble."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        raise OutputError(CLOSED) from None
    except OSError as error:
        _drop_output()
        raise OutputError(f"Standard output cannot be written ({error.strerror}): send it elsewhere.") from None


def _drop_output() -> None:
    """Send what cannot be written nowhere, so that the end of the process does not try again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _sentence_of(error: OSError) -> str:
    """What the system refused, and on which file."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOSPC:
        reason = f"{reason}; free some space, or choose another folder"
    if error.filename is None:
        return f"The system refused to go on: {reason}."
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{' and '.join(names) or error.filename}: {reason}."
