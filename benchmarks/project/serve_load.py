"""Find the highest rate that ``lightrec serve`` sustains over loopback: p99 and errors at rising rates.

``python -m lightrec.benchmarks.project.serve_load bundle --p99-ms 10 --out rows.jsonl`` starts the service in its own
process and sends it requests from this one, in an open loop: requests arrive by a Poisson process whether or not
earlier ones were answered, and each is timed from its scheduled arrival to the last byte of its answer. Rates rise
until one misses the bound or drops a request, then close in on the highest that does not. Client and service share the
machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lightrec.benchmarks.argument_types import count
from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.scenarios import best_rate, next_rate
from lightrec.benchmarks.harness.workload import Workload, real_workload, synthetic_workload
from lightrec.benchmarks.row_types import NewRow
from lightrec.benchmarks.rows import append_rows, machine, software
from lightrec.bundle import Catalogue, Manifest, read_catalogue, read_manifest
from lightrec.errors import BundleError, LightrecError
from lightrec.extras import require_extra

CONNECTIONS = 32
"""Kept alive; a request that finds none free waits for one, and its time with it."""
WARM_UP = 200
"""Requests before anything is timed."""
RISE = 1.5
"""Each rate is so many times the one before, until one is too high."""
REFINEMENTS = 4
"""Rates tried between the last that held and the first that did not."""
PATIENCE = 10.0
"""Seconds after which an answer counts as none."""


class Client:
    """Send requests to one service over connections that stay open."""

    def __init__(self, port: int, bodies: Sequence[bytes], connections: int = CONNECTIONS):
        self._port = port
        self._connections = connections
        lines = ["POST /recommend HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: {}"]
        head = "\r\n".join([*lines, "", ""])
        self._requests = [head.format(len(body)).encode() + body for body in bodies]
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()

    async def connect(self) -> None:
        """Open all connections."""
        for _ in range(self._connections):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def ask(self, number: int) -> int:
        """Return the status of request ``number``; 0 without an answer."""
        connection = await self._free.get()
        if connection[0].at_eof():  # closed by the service while it was idle
            connection = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            status = await asyncio.wait_for(self._exchange(*connection, number), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            connection[1].close()
            connection, status = await asyncio.open_connection("127.0.0.1", self._port), 0
        self._free.put_nowait(connection)
        return status

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> int:
        writer.write(self._requests[number % len(self._requests)])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(head.split(b" ", 2)[1])

    async def close(self) -> None:
        """Close all connections."""
        while not self._free.empty():
            self._free.get_nowait()[1].close()


async def load(client: Client, rate: float, seconds: float, seed: int) -> NewRow:
    """Send ``rate`` requests per second for ``seconds``; return latencies in milliseconds and errors by status."""
    due = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, max(10, int(rate * seconds)))).tolist()
    clock = time.perf_counter
    timings: list[float] = []
    errors: dict[str, int] = {}
    begin = clock() + 0.01

    async def one(number: int, arrival: float) -> None:
        status = await client.ask(number)
        if status == 200:
            timings.append(clock() - arrival)
        else:
            errors[str(status)] = errors.get(str(status), 0) + 1

    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []

    def start(number: int, arrival: float) -> None:
        tasks.append(loop.create_task(one(number, arrival)))

    def arrive() -> None:
        """Wait in a thread: the event loop's timers are a millisecond late, and spinning would take a core."""
        for number, after in enumerate(due):
            time.sleep(max(0.0, begin + after - clock()))
            loop.call_soon_threadsafe(start, number, begin + after)

    await asyncio.to_thread(arrive)
    await asyncio.gather(*tasks)
    row: NewRow = {"rate": rate, "requests": len(due), "dropped": sum(errors.values()), "errors": errors}
    row["achieved"] = len(timings) / (clock() - begin)
    for percent in (50, 99, 99.9):
        row[f"p{percent:g}"] = float(np.percentile(timings, percent) * 1e3) if timings else None
    return row


async def search(port: int, bodies: Sequence[bytes], given: argparse.Namespace) -> list[NewRow]:
    """Measure rising rates until one exceeds the bound, then rates around the highest within it."""
    client = Client(port, bodies)
    curve: list[NewRow] = []
    await client.connect()
    await asyncio.gather(*(client.ask(number) for number in range(WARM_UP)))
    rate = given.first_rate
    while not curve or best_rate(curve, given.p99_ms) == curve[-1]["rate"]:
        curve.append(await _told(client, rate, given, len(curve)))
        rate *= RISE
    for _ in range(REFINEMENTS):
        curve.append(await _told(client, next_rate(curve, given.p99_ms) or rate, given, len(curve)))
    await client.close()
    return sorted(curve, key=lambda point: point["rate"])


@contextlib.contextmanager
def serving(bundle: Path, options: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Run ``lightrec serve`` in its own process; yield its port and process id."""
    command = [sys.executable, "-m", "lightrec", "serve", str(bundle), "--port", "0", *options]
    process = children.start(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        with children.limited(process, children.PATIENCE):
            line = process.stdout.readline()
        if "/recommend" not in line:
            raise BundleError(f"{bundle} is not served: see the sentence above.")
        yield int(line.split("/recommend")[0].rsplit(":", 1)[1]), process.pid
    finally:
        process.terminate()
        children.end(process, children.GRACE)


def measure(given: argparse.Namespace) -> NewRow:
    """Return one ``serve`` row."""
    manifest = read_manifest(given.bundle)
    workload, bodies = requests(given, manifest)
    options = [f"--workers={given.workers}", f"--queue={given.queue}", f"--timeout={given.timeout}"]
    with serving(given.bundle, options) as (port, _):
        curve = asyncio.run(search(port, bodies, given))
    best = best_rate(curve, given.p99_ms)
    return {
        "kind": "serve",
        "bundle": given.bundle.name,
        "n_items": manifest.n_items,
        "precision": manifest.models[0].precision,
        "traffic": workload.to_json(),
        "k": given.k,
        "workers": given.workers,
        "queue": given.queue,
        "timeout_s": given.timeout,
        "connections": CONNECTIONS,
        "seconds": given.seconds,
        "p99_bound_ms": given.p99_ms,
        "max_rate": best,
        "at_max_rate": next((point for point in curve if point["rate"] == best), None),
        "curve": curve,
        "machine": machine(),
        **software(),
    }


def requests(given: argparse.Namespace, manifest: Manifest) -> tuple[Workload, list[bytes]]:
    """Return the workload and the bodies of the requests."""
    catalogue = read_catalogue(given.bundle, manifest)
    workload = _workload(given, manifest, catalogue)
    histories = [[catalogue.item_ids[item] for item in history.tolist()] for history in workload.histories]
    return workload, [json.dumps({"history": history, "k": given.k}).encode() for history in histories]


def measured(given: argparse.Namespace, measure: Callable[[argparse.Namespace], list[NewRow]]) -> list[NewRow] | None:
    """Return the rows of ``measure`` after adding them to ``--out``; print an error of lightrec and return None."""
    try:
        require_extra("serve", "Serving")
        rows = measure(given)
    except LightrecError as error:
        print(f"Error: {error}", file=sys.stderr)
        return None
    if given.out is not None:
        append_rows(given.out, rows)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    rows = measured(_parser().parse_args(arguments), lambda given: [measure(given)])
    if rows is None:
        return 2
    best = rows[0]["at_max_rate"]
    print("No rate keeps the bound." if best is None else f"Highest sustained rate: {_line(best)}")
    return 0


def _workload(given: argparse.Namespace, manifest: Manifest, catalogue: Catalogue) -> Workload:
    if given.data is None:
        return synthetic_workload(manifest, catalogue, given.cases, given.seed)
    return real_workload(given.data, given.bundle, manifest, catalogue, given.cases, given.seed)


async def _told(client: Client, rate: float, given: argparse.Namespace, number: int) -> NewRow:
    point = await load(client, rate, given.seconds, given.seed + number)
    print(_line(point), file=sys.stderr)
    return point


def _line(point: NewRow) -> str:
    if point["p99"] is None:
        return f"{point['rate']:,.0f} a second: no answer"
    spread = f"p50 {point['p50']:.2f} ms, p99 {point['p99']:.2f} ms, p99.9 {point['p99.9']:.2f} ms"
    return f"{point['rate']:,.0f} a second: {spread}, {point['dropped']} of {point['requests']:,} failed"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lightrec.benchmarks.project.serve_load", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, help="prepared data set with the histories; made up if left out")
    parser.add_argument("--out", type=Path, help="JSON lines file to add the row to")
    parser.add_argument("--p99-ms", type=float, default=10.0, help="bound of the 99th percentile")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    parser.add_argument("--first-rate", type=float, default=100.0, help="requests a second to begin with")
    parser.add_argument("--workers", type=count, default=1)
    parser.add_argument("--queue", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=1.0)
    parser.add_argument("--k", type=count, default=10)
    parser.add_argument("--cases", type=count, default=2000, help="different histories")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
