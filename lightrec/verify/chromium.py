"""Replay golden cases in a browser: open the web package of a bundle in a separate headless Chromium."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lightrec.errors import BundleError, DownloadError, MissingExtraError
from lightrec.files.atomic import write_text
from lightrec.web.package import package_for_web

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
"""Names of Chromium and Chrome on the PATH."""
SCRIPT = "replay-page.mjs"
PAGE = f'<!doctype html><title>Golden cases</title><script type="module" src="{SCRIPT}"></script>\n'
QUIET = (
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Despite the switches above, a new profile sends some requests; without name resolution and proxy it cannot.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
    "--no-proxy-server",
)
"""Switches with which Chromium can reach only this machine."""
TIMEOUT = 120
"""Maximum seconds to wait for Chromium."""


def find_chromium() -> str | None:
    """Return the path of Chromium or Chrome; None if it is not on the PATH."""
    return next(filter(None, map(shutil.which, COMMANDS)), None)


def has_sandbox() -> bool:
    """Return whether Chromium can use its sandbox: as root, it refuses to start with one."""
    return getattr(os, "geteuid", lambda: None)() != 0


def quiet_environment(folder: Path) -> dict[str, str]:
    """Return environment variables that put Chromium's settings and crash reports in ``folder``, not in the home."""
    return {**os.environ, "CHROME_CONFIG_HOME": str(folder), "GSETTINGS_BACKEND": "memory"}


def replay_in_chromium(path: Path, precision: str) -> tuple[str, list[tuple[list[int], list[float]]]]:
    """Replay the golden cases of the bundle at ``path`` in headless Chromium, from what :func:`package_for_web` writes.

    Returns:
        "chromium", and for each case item indices and scores, best first.

    Raises:
        MissingExtraError: if Chromium or ONNX Runtime for it is missing or does not start, naming what to install.
        BundleError: if Chromium cannot run the bundle.
    """
    command = find_chromium()
    if command is None:
        raise MissingExtraError("Chromium or Chrome on the PATH")
    # Chromium may still write to its profile while it exits.
    with tempfile.TemporaryDirectory(prefix="lightrec-", ignore_cleanup_errors=True) as scratch:
        site = _site(path, precision, Path(scratch) / "web")
        with _served(site) as server:
            told = _asked(command, server, Path(scratch))
    if "error" in told:
        raise BundleError(f"Chromium cannot run {path}: {told['error']}")
    return "chromium", [(answer["items"], answer["scores"]) for answer in told["answers"]]


def _site(bundle: Path, precision: str, folder: Path) -> Path:
    try:
        site = package_for_web(bundle, folder, precision).path
    except DownloadError as error:
        raise MissingExtraError(str(error)) from None
    shutil.copyfile(Path(__file__).with_name(SCRIPT), site / SCRIPT)
    write_text(site / "replay.html", PAGE)
    return site


class _Server(http.server.ThreadingHTTPServer):
    """Serves a folder to this machine only, and stores what its pages post."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.posted: queue.SimpleQueue[bytes] = queue.SimpleQueue()


class _Handler(http.server.SimpleHTTPRequestHandler):
    # The system's MIME types of these extensions may be wrong, and a browser runs no script with a wrong type.
    extensions_map = {  # noqa: RUF012
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        assert isinstance(self.server, _Server)
        self.server.posted.put(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def _served(site: Path) -> Iterator[_Server]:
    with _Server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _asked(command: str, server: _Server, scratch: Path) -> dict[str, Any]:
    """Open the page in Chromium and return what it posts."""
    told, said = _opened(command, server, scratch, has_sandbox())
    if told is None and has_sandbox() and "sandbox" in said.lower():
        # Some containers allow no user namespaces. The page is lightrec's, so it is safe without a sandbox.
        told, said = _opened(command, server, scratch, sandbox=False)
    if told is None:
        raise MissingExtraError(f"a Chromium that starts here ({_last_line(said)})")
    return told


def _opened(command: str, server: _Server, scratch: Path, sandbox: bool) -> tuple[dict[str, Any] | None, str]:
    """Return the page's answer, None if Chromium exits without one, and Chromium's output."""
    words = [command, "--headless", *QUIET, f"--user-data-dir={scratch / 'profile'}"]
    words += [] if sandbox else ["--no-sandbox"]
    words.append(f"http://localhost:{server.server_port}/replay.html")
    log = scratch / "log"
    with log.open("wb") as file, _running(words, file, scratch) as process:
        posted = _posted(server, process)
    answer = None if posted is None else json.loads(posted)
    return answer, log.read_text(encoding="utf-8", errors="replace")


def _posted(server: _Server, process: subprocess.Popen[bytes]) -> bytes | None:
    """Return the answer that the page posts; None if Chromium exits without one."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            return server.posted.get(timeout=0.1)
        if process.poll() is not None:
            return None
    raise BundleError(f"Chromium did not answer the golden cases within {TIMEOUT} s.")


def _last_line(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it says nothing")


@contextlib.contextmanager
def _running(words: list[str], log: BinaryIO, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = quiet_environment(scratch)
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
