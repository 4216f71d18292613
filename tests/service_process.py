"""``lightrec serve`` as tests start and ask it."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from resource import RLIMIT_NOFILE, setrlimit

TOKEN = "s3cret"


class Server:
    """``lightrec serve`` in a process of its own."""

    def __init__(self, bundle: Path, *options: str, open_files: int | None = None, log: Path | None = None):
        words = [sys.executable, "-m", "lightrec", "serve", str(bundle), "--port", "0", *options]
        environment = {"LIGHTREC_RELOAD_TOKEN": TOKEN, "PATH": "", "OMP_NUM_THREADS": "1"}
        limit = None if open_files is None else lambda: setrlimit(RLIMIT_NOFILE, (open_files, open_files))
        with contextlib.nullcontext() if log is None else log.open("wb") as stderr:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, preexec_fn=limit
            )
        assert self.process.stdout is not None
        atexit.register(self.process.kill)  # where a test fails before it stops
        self.port = int(self.process.stdout.readline().split("/recommend")[0].rsplit(":", 1)[1])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, path: str, body: object = None, method: str | None = None, connection=None, **headers: str):
        """Status, headers and JSON of one request; ``body`` may be bytes as they are."""
        connection = connection or self.connect()
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method or ("GET" if body is None else "POST"), path, content, kind | headers)
        response = connection.getresponse()
        answer = response.read()
        is_json = response.headers["Content-Type"].startswith("application/json")
        return response.status, response.headers, json.loads(answer) if is_json else answer

    def memory(self, peak: bool = False) -> int:
        """Bytes of memory that it holds, or has held at most; 0 where the system does not tell."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.is_file():
            return 0
        name = "VmHWM:" if peak else "VmRSS:"
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(name))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)
