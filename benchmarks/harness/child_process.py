"""Start and end child processes: each in its own group, within a time limit, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.errors import ModelError

PATIENCE = 600.0
"""Seconds in which a worker must be ready, or answer a task without a length: compiling takes minutes."""

GRACE = 10.0
"""Seconds in which a worker must end once it has nothing more to do."""


def start(command: Sequence[str], limits: Limits | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start a command in its own process group under ``limits``; ``options`` are passed to ``Popen``.

    Raises:
        ModelError: if it cannot be started, or the limits cannot be applied; then it does not run.
    """
    try:
        process = subprocess.Popen(
            list(command), encoding="utf-8", errors="replace", start_new_session=os.name == "posix", **options
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"The interpreter {command[0]} cannot be started ({reason}): check it.") from None
    try:
        (limits or Limits()).apply(process.pid)
    except ProcessLookupError:
        pass  # it has ended already: its last words tell why
    except OSError as error:
        end(process)
        raise ModelError(
            f"The limits cannot be applied to a process ({error.strerror}): leave out --cores, --memory and --profile."
        ) from None
    except BaseException:
        end(process)
        raise
    return process


def end(process: subprocess.Popen[str], patience: float = 0.0) -> bool:
    """Wait ``patience`` seconds for a process to end, then kill it with its children.

    Returns:
        Whether it ended by itself.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    ended = process.returncode is not None
    kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written to it can no longer be
                pipe.close()
    return ended


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and the others of its group."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):  # no process is left
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()


@contextlib.contextmanager
def limited(process: subprocess.Popen[str], seconds: float) -> Iterator[threading.Event]:
    """Kill the process if the body takes longer than ``seconds``; the event is set if that happened."""
    over = threading.Event()

    def stop() -> None:
        over.set()
        kill(process)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def last_words(process: subprocess.Popen[str], stderr: IO[str], over: bool, seconds: float) -> str:
    """Explain in a few words why a silent process failed, and end it if it still runs.

    Args:
        process: a process whose standard output has ended.
        stderr: the file of its standard error.
        over: whether it was killed because it exceeded its time limit.
        seconds: the time limit.
    """
    ended = end(process, GRACE)
    if over:
        return f"it did not answer within {seconds:,.0f} s and was ended"
    if not ended:
        return "it closed its output and went on, and was ended"
    stderr.seek(0)
    lines = stderr.read().strip().splitlines()
    code = process.returncode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = "; was memory short?" if name == "SIGKILL" else ""
        return f"it was ended by {name}{memory}" + (f" ({lines[-1]})" if lines else "")
    return lines[-1] if lines else "it said nothing"
