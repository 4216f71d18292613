"""Measure the service at a share of its capacity while it is stopped again and again.

``python -m lightrec.benchmarks.project.serve_busy bundle --data prepared --out rows.jsonl`` measures how many requests
a second the service answers when it is asked without pause, and then asks it at a share of that rate. Meanwhile the
service is stopped for some milliseconds of every second, as where the system lets other programs run, with a queue that
is bounded by time and with one of 64 requests. All settings take turns, round by round, so that what else the machine
does meets them alike. Client and service share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.argument_types import count
from lightrec.benchmarks.project.serve_load import WARM_UP, Client, load, measured, requests, serving
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import machine, software
from lightrec.bundle import read_manifest

CONNECTIONS = 1000
"""More than wait at any time: a request that finds none free would wait in the client, and not be refused."""


@contextlib.contextmanager
def stopping(process: int, milliseconds: int) -> Iterator[None]:
    """Stop ``process`` for so many milliseconds of every second."""
    over = threading.Event()

    def stop_and_go() -> None:
        while milliseconds and not over.wait(1 - milliseconds / 1000):
            os.kill(process, signal.SIGSTOP)
            time.sleep(milliseconds / 1000)
            os.kill(process, signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def capacity(port: int, bodies: Sequence[bytes], seconds: float) -> float:
    """Return the answers per second over 32 connections that send a request after each answer."""
    client = Client(port, bodies)
    await client.connect()
    await asyncio.gather(*(client.ask(number) for number in range(WARM_UP)))
    numbers, begin = itertools.count(), time.perf_counter()

    async def ask_on() -> int:
        answered = 0
        while time.perf_counter() - begin < seconds:
            answered += await client.ask(next(numbers)) == 200
        return answered

    answered = sum(await asyncio.gather(*(ask_on() for _ in range(32))))
    await client.close()
    return answered / (time.perf_counter() - begin)


async def at_rate(port: int, bodies: Sequence[bytes], rate: float, seconds: float, seed: int) -> NewRow:
    """Measure one point of load, over enough connections."""
    client = Client(port, bodies, CONNECTIONS)
    await client.connect()
    point = await load(client, rate, seconds, seed)
    await client.close()
    return point


def measure(given: argparse.Namespace) -> list[NewRow]:
    """Return a ``serve-busy`` row for each length of stops and each queue."""
    manifest = read_manifest(given.bundle)
    workload, bodies = requests(given, manifest)
    flags = {queue: [f"--workers={given.workers}", f"--queue={queue}", "--timeout=1"] for queue in given.queues}
    points: dict[tuple[int, int], list[NewRow]] = {
        setting: [] for setting in itertools.product(given.stops, given.queues)
    }
    rates = []
    with contextlib.ExitStack() as stack:
        services = {queue: stack.enter_context(serving(given.bundle, flags[queue])) for queue in given.queues}
        for number in range(given.rounds):
            rates.append(asyncio.run(capacity(services[given.queues[-1]][0], bodies, given.seconds)))
            for milliseconds, queue in points:
                port, process = services[queue]
                rate = given.share * rates[-1]
                with stopping(process, milliseconds):
                    point = asyncio.run(at_rate(port, bodies, rate, given.seconds, given.seed + number))
                points[milliseconds, queue].append(point)
    same = {
        "kind": "serve-busy",
        "bundle": given.bundle.name,
        "n_items": manifest.n_items,
        "precision": manifest.models[0].precision,
        "traffic": workload.to_json(),
        "k": given.k,
        "workers": given.workers,
        "timeout_s": 1.0,
        "capacity": rates,
        "share": given.share,
        "seconds": given.seconds,
        "seed": given.seed,
        "machine": machine(),
        **software(),
    }
    return [
        {**same, "stopped_ms": stopped, "queue": queue, "rounds": found} for (stopped, queue), found in points.items()
    ]


def line(row: NewRow) -> str:
    """Describe a setting: the share of requests without an answer, median and range over rounds."""
    shares = [100 * point["dropped"] / point["requests"] for point in row["rounds"]]
    late = [point["p99"] for point in row["rounds"] if point["p99"] is not None]
    spread = f"{np.median(shares):.1f} % (of rounds {min(shares):.1f} to {max(shares):.1f})"
    causes: dict[str, int] = {}
    for point in row["rounds"]:
        for status, times in point["errors"].items():
            causes[status] = causes.get(status, 0) + times
    p99 = f"p99 {np.median(late):,.0f} ms" if late else "no answer"
    setting = f"stopped for {row['stopped_ms']} ms a second, queue of {row['queue']:,}"
    return f"{setting}: {spread} without an answer {causes or ''}, {p99}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = _parser().parse_args(arguments)
    rows = measured(given, measure)
    if rows is None:
        return 2
    median = float(np.median(rows[0]["capacity"]))
    print(f"{given.share:.0%} of {median:,.0f} answers a second:")
    print("\n".join(map(line, rows)))
    return 0


def _counts(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser: Any = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.project.serve_busy", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, help="prepared data set with the histories; made up if left out")
    parser.add_argument("--out", type=Path, help="JSON lines file to add the rows to")
    parser.add_argument("--share", type=float, default=0.7, help="of the rate at which it answers without pause")
    parser.add_argument("--stops", type=_counts, default=[0, 100, 250], help="milliseconds of every second")
    parser.add_argument("--queues", type=_counts, default=[64, 1000], help="as of --queue, such as 64,1000")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--workers", type=count, default=1)
    parser.add_argument("--k", type=count, default=10)
    parser.add_argument("--cases", type=count, default=2000, help="different histories")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
