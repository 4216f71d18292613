"""Run a bundle in headless Chromium; the worker of :mod:`lightrec.benchmarks.variants.browser`.

It serves the web package of the bundle on the loopback interface, opens it in Chromium, and passes each task on to the
page, which times its own calls: see browser_worker.js.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightrec.benchmarks.variants.browser import chromium
from lightrec.benchmarks.workers.worker_protocol import own_channel, say
from lightrec.bundle import read_golden
from lightrec.files.atomic import write_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

SCRIPT = "browser_worker.js"
PAGE = f'<!doctype html><title>Benchmark</title><script type="module" src="{SCRIPT}"></script>\n'


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve a folder to an isolated page, whose clock ticks every 5 microseconds instead of 100."""

    def end_headers(self) -> None:
        """Add the two headers that isolate the page."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Answer the tasks of the request file."""
    channel = own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with opened(Path(request["bundle"]), request["precision"]) as page:
        facts = {"peak_bytes": None, "processes": _descendants(), "versions": _versions(page)}
        say(channel, {**facts, **_load(page, request)})
        for line in sys.stdin:
            request = json.loads(line)
            say(channel, TASKS[request.pop("do", "time")](page, **request))


@contextlib.contextmanager
def opened(bundle: Path, precision: str) -> Iterator[Page]:
    """Open the page in Chromium, with ``window.bench`` ready."""
    from playwright.sync_api import sync_playwright

    from lightrec.web.package import package_for_web

    with tempfile.TemporaryDirectory() as folder:
        site = package_for_web(bundle, Path(folder) / "web", precision).path
        write_text(site / SCRIPT, Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8"))
        write_text(site / "bench.html", PAGE)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = _launched(playwright, Path(folder))
            page = browser.new_page()
            page.goto(f"http://localhost:{server.server_port}/bench.html")
            page.wait_for_function("globalThis.bench")
            yield page
            browser.close()
        server.shutdown()


def _launched(playwright: Playwright, folder: Path) -> Browser:
    """Launch Chromium with its sandbox, or without it for root and in some containers."""
    from playwright.sync_api import Error

    from lightrec.verify.chromium import QUIET, has_sandbox, quiet_environment

    options: dict[str, Any] = {"executable_path": chromium(), "args": [*QUIET]}
    options["env"] = quiet_environment(folder)
    if has_sandbox():
        with contextlib.suppress(Error):
            return playwright.chromium.launch(**options, chromium_sandbox=True)
    return playwright.chromium.launch(**options, chromium_sandbox=False)


def _load(page: Page, request: dict[str, Any]) -> dict[str, Any]:
    """Load the bundle, and rank all histories and the golden cases if requested."""
    from lightrec.bundle import read_catalogue, read_manifest

    bundle = Path(request["bundle"])
    ids = read_catalogue(bundle, read_manifest(bundle)).item_ids
    indices = np.split(np.load(request["histories"]), np.load(request["cuts"]))
    histories = [[ids[item] for item in history] for history in indices]
    facts = _ask(page, "load", histories=histories, k=request["k"])
    if request["check"]:
        limit = request["rank_limit"]
        cases = [{"history": history.tolist(), "exclude": [], "k": limit} for history in indices]
        ranked = np.full((len(cases), limit), -1, dtype=np.int64)
        for row, answer in zip(ranked, page.evaluate("(cases) => bench.rank(cases)", cases), strict=True):
            row[: len(answer["items"])] = answer["items"]
        np.save(request["rankings"], ranked)
        facts["golden"] = _golden_problem(page, bundle)
    return facts


def _versions(page: Page) -> dict[str, str]:
    """Return the versions of the browser and of its ONNX Runtime."""
    from lightrec.web.package import ONNXRUNTIME_WEB

    browser = page.context.browser
    return ({"chromium": browser.version} if browser else {}) | {"onnxruntime-web": ONNXRUNTIME_WEB}


def _golden_problem(page: Page, bundle: Path) -> str | None:
    """Return what is wrong with the answers to the golden cases; None if nothing is."""
    from lightrec.verify.compare import compare

    cases, tolerance = read_golden(bundle)
    requests = [{"history": case.history, "exclude": case.exclude, "k": case.k} for case in cases]
    answers = page.evaluate("(cases) => bench.rank(cases)", requests)
    found = [
        compare(case, np.array(answer["items"], dtype=np.int64), np.array(answer["scores"]), tolerance)
        for case, answer in zip(cases, answers, strict=True)
    ]
    return next(filter(None, found), None)


def _time(page: Page, **request: Any) -> dict[str, Any]:
    """Time calls as ``worker_protocol`` does; CPU time is that of all of the browser's processes."""
    begin = _seconds()
    timings = _nanoseconds(_ask(page, "time", **request))
    return {"timings": timings, "cpu_ns_per_call": (_seconds() - begin) * 1e9 / (len(timings) + 1), "rss_bytes": None}


def _streams(page: Page, **request: Any) -> dict[str, Any]:
    answer = _ask(page, "streams", **request)
    timings = _nanoseconds(answer)
    return {"timings": timings, "per_second": 1e3 * (len(timings) + request["streams"]) / answer["elapsed"]}


def _server(page: Page, probe: str, first: int, rate: float, seconds: float, seed: int) -> dict[str, Any]:
    expected = max(10, int(rate * seconds))
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1e3 / rate, expected))
    answer = _ask(page, "server", probe=probe, first=first, arrivals=arrivals.tolist(), patience=500 * seconds)
    timings = _nanoseconds(answer)
    ends = arrivals[: len(timings)] / 1e3 + np.array(timings) / 1e9
    achieved = len(timings) / float(ends.max()) if timings else 0.0
    return {"timings": timings, "dropped": expected - len(timings), "achieved": achieved}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"time": _time, "streams": _streams, "server": _server}
"""As :data:`lightrec.benchmarks.workers.worker_protocol.TASKS`, in the page."""


def _ask(page: Page, task: str, **what: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(f"(what) => bench.{task}(what)", what)
    return answer


def _nanoseconds(answer: dict[str, Any]) -> list[int]:
    return [round(1e6 * milliseconds) for milliseconds in answer["timings"]]


def _descendants() -> list[int]:
    """Return the ids of all child processes; empty where the system does not report them."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text(encoding="utf-8").rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(file.parent.name))
    found = [os.getpid()]
    for process in found:
        found += parents.get(process, [])
    return found[1:]


def _seconds() -> float:
    """Return the browser's CPU seconds so far."""
    tick, total = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100, 0
    for process in _descendants():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / tick


if __name__ == "__main__":
    main()
