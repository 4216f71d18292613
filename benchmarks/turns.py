"""The worker's side of a race between processes: it waits for its turn, times its calls, and says what they took.

Nothing of lightrec is imported here: a worker that another environment's interpreter runs loads this file by its path,
so that every contestant is timed by the same lines.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Call = tuple[Callable[[Any], object], Sequence[Any]]
"""A function and the inputs that it is timed with, one after the other and then from the start again."""


def time_calls(call: Callable[[Any], object], inputs: Sequence[Any], first: int, seconds: float) -> np.ndarray:
    """Nanoseconds of single calls, int64 ``[at least 1]``, made for ``seconds`` from ``inputs[first]`` on.

    One call goes before, untimed, to bring back what another variant has pushed out of the processor's caches.
    """
    clock = time.perf_counter_ns
    call(inputs[first % len(inputs)])
    taken: list[int] = []
    stop = clock() + int(seconds * 1e9)
    while not taken or clock() < stop:
        value = inputs[(first + len(taken)) % len(inputs)]
        begin = clock()
        call(value)
        taken.append(clock() - begin)
    return np.array(taken, dtype=np.int64)


def chunks(inputs: Sequence[Any], size: int) -> list[list[Any]]:
    """Batches of ``size`` that together hold every input; the last is filled up from the beginning."""
    count = -(-len(inputs) // size)
    return [[inputs[(start * size + step) % len(inputs)] for step in range(size)] for start in range(count)]


def own_channel() -> TextIO:
    """The standard output for answers alone; what libraries print from now on goes to the standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def serve(channel: TextIO, calls: Mapping[str, Call], facts: Mapping[str, Any]) -> None:
    """Say ``facts`` once, then answer every line ``{"probe", "first", "seconds"}`` of the standard input until it ends.

    The answer is ``{"taken": [nanoseconds]}``. The garbage collector is off.
    """
    gc.collect()
    gc.disable()
    _say(channel, {"calls": list(calls), "peak_bytes": peak_bytes(), **facts})
    for line in sys.stdin:
        turn = json.loads(line)
        call, inputs = calls[turn["probe"]]
        _say(channel, {"taken": time_calls(call, inputs, turn["first"], turn["seconds"]).tolist()})


def peak_bytes() -> int | None:
    """The most memory that this process has held at once; None where the system does not tell.

    Of /proc rather than getrusage, whose maximum begins with the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _say(channel: TextIO, answer: Mapping[str, Any]) -> None:
    channel.write(json.dumps(dict(answer)) + "\n")
    channel.flush()
