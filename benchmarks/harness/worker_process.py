"""Run a worker in its own process and send it tasks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.errors import ModelError

ANSWERS: dict[str, dict[str, Any]] = {
    "time": {"timings": list, "cpu_ns_per_call": (int, float)},
    "server": {"timings": list, "dropped": int, "achieved": (int, float)},
    "streams": {"timings": list, "per_second": (int, float)},
}
"""The fields, and their types, of the answers to the tasks of :mod:`lightrec.benchmarks.workers.worker_protocol`."""


class WorkerProcess:
    """A running worker that has loaded its model; see :mod:`lightrec.benchmarks.workers.worker_protocol`.

    Args:
        label: its name in rows.
        command: the command that starts it.
        threads: compute threads, also set for its libraries by environment variables.
        limits: the limits of the process.

    A worker that does not answer in time is killed with all processes that it has started.

    Raises:
        ModelError: if it does not start; its last words are in the message.
    """

    def __init__(self, label: str, command: Sequence[str], threads: int = 1, limits: Limits | None = None):
        self.label = label
        """Its name in rows."""
        self.failure: str | None = None
        """How the worker failed; None while it answers."""
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self._process = children.start(
            command,
            limits,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **counts},
        )
        self.facts: dict[str, Any] = self._answer({"calls": list}, children.PATIENCE)
        """The facts that the worker reported when it was ready."""

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        children.end(self._process, 0.0 if self.failure else children.GRACE)
        self._stderr.close()

    @property
    def process(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def time(self, probe: str, first: int, seconds: float) -> np.ndarray:
        """Return the nanoseconds of the calls made in one time slice, from input ``first`` on."""
        return nanoseconds(self.ask("time", probe, first=first, seconds=seconds))

    def try_ask(self, task: str, probe: str, **what: Any) -> dict[str, Any] | None:
        """Do as :meth:`ask`, but return None if the worker fails or has failed; :attr:`failure` says how."""
        if self.failure is not None:
            return None
        try:
            return self.ask(task, probe, **what)
        except ModelError:
            return None

    def ask(self, task: str, probe: str, **what: Any) -> dict[str, Any]:
        """Send a task of :data:`lightrec.benchmarks.workers.worker_protocol.TASKS` and return its answer.

        Raises:
            ModelError: if it ends instead; its last words are in the message.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; the error below holds its last words
            self._process.stdin.write(json.dumps({"do": task, "probe": probe, **what}) + "\n")
            self._process.stdin.flush()
        return self._answer(ANSWERS[task], children.PATIENCE + 10 * what.get("seconds", 0.0))

    def _answer(self, wanted: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Read the next line within so many seconds; it must hold the fields ``wanted`` of those types."""
        assert self._process.stdout is not None
        with children.limited(self._process, seconds) as over:
            line = self._process.stdout.readline()
        if not line:
            self._fail(children.last_words(self._process, self._stderr, over.is_set(), seconds))
        try:
            answer: dict[str, Any] = json.loads(line)
            if all(isinstance(answer[name], kind) for name, kind in wanted.items()):
                return answer
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        children.kill(self._process)
        self._fail(f"it answered something else than was asked: {line[:80]!r}")

    def _fail(self, words: str) -> NoReturn:
        self.failure = f"{self.label} failed: {words}"
        children.end(self._process)
        raise ModelError(self.failure)


def nanoseconds(answer: dict[str, Any]) -> np.ndarray:
    """Return the timings of an answer, int64 ``[calls]``."""
    return np.array(answer["timings"], dtype=np.int64)
