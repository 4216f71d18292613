"""Commands of lightrec under faults: killed, or without room on the disk, at a chosen moment or file operation.

Run as a program it imports everything once and then runs each command in a fork of itself, which starts in
milliseconds; :class:`Commands` talks to it. A fault is a pair of its name and a number::

    kill at operation    SIGKILL at the n-th file operation (open for writing, rename, folder made, removal)
    kill after           SIGKILL after so many seconds
    full at operation    from the n-th file on that is opened for writing, or folder that is made: no space left
    size limit           no file may grow beyond so many bytes
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import lightrec.files.atomic

TIMEOUT = 300.0
OPERATIONS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    """Its exit code; minus the signal that ended it; 1 with a traceback."""
    said: str
    """What it wrote to standard error."""
    operations: int
    """File operations that it made; 0 if it was killed."""


class Commands:
    """Runs command lines in ``folder``, one at a time.

    Args:
        folder: their working folder; home and caches lie beside it.
    """

    def __init__(self, folder: Path):
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "HOME": str(home),
            "LIGHTREC_CACHE": str(home / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "POLARS_MAX_THREADS": "1",
            "PYTHONHASHSEED": "0",
        }
        self.server = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *words: str, fault: tuple[str, float] | None = None, exchange: bool = True) -> Ended:
        """Run ``lightrec`` with ``words``; without ``exchange`` as on a file system that cannot exchange folders."""
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.write(json.dumps({"words": words, "fault": fault, "exchange": exchange}) + "\n")
        self.server.stdin.flush()
        return Ended(**json.loads(self.server.stdout.readline()))

    def must(self, *words: str) -> Ended:
        """Run a command that is to succeed."""
        ended = self.run(*words)
        assert ended.code == 0, f"lightrec {' '.join(words)}: {ended}"
        return ended

    def close(self) -> None:
        """End the program."""
        self.server.kill()
        self.server.communicate()


def serve(folder: Path) -> None:
    """Answer requests on standard input until it ends."""
    import onnx  # noqa: F401
    import polars  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import lightrec.export.pipeline
    import lightrec.training.finetune
    import lightrec.training.teachers.write_score_file
    import lightrec.training.tune  # noqa: F401
    from lightrec.cli.app import main

    torch.set_num_threads(1)
    os.chdir(folder)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_forked(main, **request)), flush=True)


def _forked(main: Any, words: list[str], fault: tuple[str, float] | None, exchange: bool) -> dict[str, Any]:
    said, said_there = os.pipe()
    with tempfile.TemporaryFile() as counted:
        child = os.fork()
        if child == 0:
            os.close(said)
            if not exchange:
                lightrec.files.atomic._exchange = lambda one, other: False
            _be_the_command(main, words, fault, said_there, counted.fileno())
        os.close(said_there)
        text = _read(said, child, fault)
        os.close(said)
        _, status = os.waitpid(child, 0)
        counted.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "said": text.decode(errors="replace"),
            "operations": int(counted.read() or 0),
        }


def _read(said: int, child: int, fault: tuple[str, float] | None) -> bytes:
    text, end = b"", time.monotonic() + TIMEOUT
    if fault and fault[0] == "kill after":
        end = time.monotonic() + fault[1]
    while True:
        ready, _, _ = select.select([said], [], [], max(0, end - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            end = time.monotonic() + TIMEOUT
            continue
        block = os.read(said, 65536)
        if not block:
            return text
        text += block


def _be_the_command(main: Any, words: list[str], fault: tuple[str, float] | None, said: int, counted: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["lightrec", *words]
    count = _inject(*(fault or ("none", 0)))
    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        os.write(counted, str(count[0]).encode())
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(int(code))


def _inject(kind: str, number: float) -> list[int]:
    """Install a fault; the list's one entry counts the file operations."""
    count = [0]
    if kind == "size limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        makes = event == "os.mkdir" or (event == "open" and _for_writing(arguments))
        if not (makes or event in OPERATIONS) or not _is_here(arguments[0]):
            return
        count[0] += 1
        if kind == "kill at operation" and count[0] >= number:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "full at operation" and count[0] >= number and makes:
            raise OSError(28, "No space left on device", str(arguments[0]))

    sys.addaudithook(watch)
    return count


def _for_writing(arguments: tuple[Any, ...]) -> bool:
    return bool(isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))


def _is_here(path: Any) -> bool:
    """Whether a path is inside the working folder; pipes, devices and caches are not."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    return Path(os.path.abspath(os.fsdecode(path))).is_relative_to(Path.cwd())  # noqa: PTH100


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
