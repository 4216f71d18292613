"""Run the worker's side of a benchmark: wait for tasks, time calls, and report the times.

This file imports nothing of lightrec. A worker that another environment's interpreter runs loads it by its path, so
every worker is timed by the same code.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Call = tuple[Callable[[Any], object], Sequence[Any]]
"""A function and the inputs that it is timed with, one after the other, cyclically."""

SPIN = 300_000
"""Nanoseconds before an arrival during which the server waits without sleeping: a sleep may end this late."""


def time_calls(call: Callable[[Any], object], inputs: Sequence[Any], first: int, seconds: float) -> np.ndarray:
    """Time single calls for ``seconds`` from ``inputs[first]`` on: nanoseconds, int64 ``[at least 1]``.

    One untimed call comes first, to restore what another variant has evicted from the processor's caches.
    """
    clock = time.perf_counter_ns
    call(inputs[first % len(inputs)])
    timings: list[int] = []
    stop = clock() + int(seconds * 1e9)
    while not timings or clock() < stop:
        value = inputs[(first + len(timings)) % len(inputs)]
        begin = clock()
        call(value)
        timings.append(clock() - begin)
    return np.array(timings, dtype=np.int64)


def open_loop(
    call: Callable[[Any], object], inputs: Sequence[Any], first: int, arrivals: np.ndarray, patience: float
) -> np.ndarray:
    """Answer requests in the order of arrival, each timed from its *scheduled* arrival to its answer.

    Arrivals do not wait for earlier answers: a request that a slow call delays includes that delay in its time.

    Args:
        call: the function that answers one request.
        inputs: as in :func:`time_calls`.
        first: the input of the first request.
        arrivals: seconds from the start, float64 ``[A]``, ascending.
        patience: seconds after the last arrival after which requests that have not begun are dropped.

    Returns:
        nanoseconds, int64 ``[answered]``; the first that many requests were answered, the others dropped.
    """
    clock = time.perf_counter_ns
    call(inputs[first % len(inputs)])
    begin = clock() + SPIN
    due = (begin + arrivals * 1e9).astype(np.int64).tolist()
    stop, timings = due[-1] + int(patience * 1e9), []
    for number, arrival in enumerate(due):
        while (left := arrival - clock()) > 0:
            if left > SPIN:
                time.sleep((left - SPIN) / 1e9)
        if clock() > stop:
            break
        call(inputs[(first + number) % len(inputs)])
        timings.append(clock() - arrival)
    return np.array(timings, dtype=np.int64)


def concurrent_calls(
    call: Callable[[Any], object], inputs: Sequence[Any], streams: int, seconds: float
) -> tuple[np.ndarray, int]:
    """Call from ``streams`` threads at once without pause; return the nanoseconds of all calls and the total time.

    An exception of a call in one of the threads is raised here, once all threads have ended.
    """
    timings: list[np.ndarray] = [np.empty(0)] * streams
    failed: list[BaseException] = []
    together = threading.Barrier(streams + 1)

    def stream(number: int) -> None:
        together.wait()
        try:
            timings[number] = time_calls(call, inputs, number * len(inputs) // streams, seconds)
        except BaseException as error:  # otherwise a thread would end silently, and its calls would be missing
            failed.append(error)

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    together.wait()
    begin = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return np.concatenate(timings), time.perf_counter_ns() - begin


def chunks(inputs: Sequence[Any], size: int) -> list[list[Any]]:
    """Split the inputs into batches of ``size``; the last is filled up from the beginning."""
    count = -(-len(inputs) // size)
    return [[inputs[(start * size + step) % len(inputs)] for step in range(size)] for start in range(count)]


def own_channel() -> TextIO:
    """Reserve standard output for answers; redirect the output of libraries to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Words kept back until the end would come after the error that ended the process.
        sys.stdout.reconfigure(line_buffering=True)
    return channel


def serve(channel: TextIO, calls: Mapping[str, Call], facts: Mapping[str, Any]) -> None:
    """Write ``facts``, then answer every line of standard input until it ends; one JSON object each.

    ``{"do", "probe", ...}``: ``do`` is a name of :data:`TASKS`, ``time`` if it is missing. The garbage collector is
    off.
    """
    gc.collect()
    gc.disable()
    say(channel, {"calls": list(calls), "peak_bytes": peak_bytes(), **facts})
    for line in sys.stdin:
        request = json.loads(line)
        task = TASKS[request.pop("do", "time")]
        say(channel, task(*calls[request.pop("probe")], **request))


def say(channel: TextIO, answer: Mapping[str, Any]) -> None:
    """Write one answer."""
    channel.write(json.dumps(dict(answer)) + "\n")
    channel.flush()


def peak_bytes() -> int | None:
    """Return the peak memory of this process; None where the system does not report it.

    Of /proc rather than getrusage, whose maximum begins with the size of the process that started this one.
    """
    return _status("VmHWM:")


def resident_bytes() -> int | None:
    """Return the current memory of this process; None where the system does not report it."""
    return _status("VmRSS:")


def _time(call: Callable[[Any], object], inputs: Sequence[Any], first: int, seconds: float) -> dict[str, Any]:
    """Time calls; CPU time is per call, including one call that is not timed."""
    begin = time.process_time_ns()
    timings = time_calls(call, inputs, first, seconds)
    cpu = (time.process_time_ns() - begin) / (len(timings) + 1)
    return {"timings": timings.tolist(), "cpu_ns_per_call": cpu, "rss_bytes": resident_bytes()}


def _server(
    call: Callable[[Any], object], inputs: Sequence[Any], first: int, rate: float, seconds: float, seed: int
) -> dict[str, Any]:
    """Send Poisson arrivals at ``rate`` per second for ``seconds``, at least ten."""
    expected = max(10, int(rate * seconds))
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, expected))
    timings = open_loop(call, inputs, first, arrivals, patience=seconds / 2)
    # Until the last answer, counted from the first arrival.
    ends = arrivals[: len(timings)] + timings / 1e9
    achieved = len(timings) / float(ends.max()) if len(timings) else 0.0
    return {"timings": timings.tolist(), "dropped": expected - len(timings), "achieved": achieved}


def _streams(call: Callable[[Any], object], inputs: Sequence[Any], streams: int, seconds: float) -> dict[str, Any]:
    timings, elapsed = concurrent_calls(call, inputs, streams, seconds)
    # Each stream's first call is not timed, but made.
    return {"timings": timings.tolist(), "per_second": (len(timings) + streams) / (elapsed / 1e9)}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"time": _time, "server": _server, "streams": _streams}
"""What a worker can be asked to do with one of its calls."""


def _status(key: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024
