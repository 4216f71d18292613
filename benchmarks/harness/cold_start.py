"""Time new processes from their start to the first answer, and read their peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.interleaved_timing import rotated
from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.errors import ModelError

SAY_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')), flush=True)"

ANSWER = f"""
import sys
from lightrec import Recommender
Recommender.load(sys.argv[1], threads=1).recommend(sys.argv[2:])
{SAY_PEAK}
"""
"""A script that loads the bundle in its first argument and answers the history in the others."""

OPEN = f"""
import sys
import numpy
import onnxruntime
onnxruntime.disable_telemetry_events()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
{SAY_PEAK}
"""
"""A script with the minimum work of ONNX Runtime: it opens the model in its first argument."""


def first_answers(commands: Sequence[Sequence[str]], rounds: int) -> tuple[list[list[float]], list[int]]:
    """Start every command once per round, interleaved, after one uncounted round.

    Args:
        commands: ``(script, argument, ...)`` of this interpreter; the script prints its peak memory in KiB last.
        rounds: number of rounds.

    Returns:
        milliseconds from the start of the process to its printed line, for each command and round, and for each
        command the most memory in bytes, the median over the rounds.
    """
    timings: list[list[float]] = [[] for _ in commands]
    peaks: list[list[int]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for place in rotated(len(commands), number):
            milliseconds, first, _ = start([sys.executable, "-c", *commands[place]])
            if number:
                timings[place].append(milliseconds)
                peaks[place].append(int(first) * 1024)
    return timings, [int(np.median(peak)) for peak in peaks]


def start(command: Sequence[str], limits: Limits | None = None, name: str = "A new process") -> tuple[float, str, str]:
    """Run a command to its end under ``limits``; ``name`` is for error messages.

    Returns:
        milliseconds from its start to its first printed line, that line, and what it printed after it.

    Raises:
        ModelError: if it fails or prints nothing; its last words are in the message.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        begin = time.perf_counter()
        process = children.start(command, limits, stdout=subprocess.PIPE, stderr=stderr, env=_environment())
        try:
            assert process.stdout is not None
            with children.limited(process, children.PATIENCE) as over:
                line = process.stdout.readline()
                milliseconds = (time.perf_counter() - begin) * 1e3
                more = process.stdout.read()
            words = children.last_words(process, stderr, over.is_set(), children.PATIENCE)
        finally:
            children.end(process)
        if process.returncode or not line:
            raise ModelError(f"{name} failed: {words}")
    return milliseconds, line, more


def _environment() -> dict[str, str]:
    """Return this process's environment, with byte code cached, as an installed package has it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
