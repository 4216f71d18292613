"""Runs command lines of lightrec, each in a forked process: ``python _command_runner.py`` answers JSON lines.

A request: ``{"words", "folder", "environment", "encoding", "output"}``; ``output`` is ``file``, ``full`` (a full disk)
or ``closed`` (a pipe without a reader). The answer: ``{"code", "out", "err"}``; the code is None after a time limit.
"""

import importlib
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

SECONDS = 100
"""After which a command line counts as hanging."""


def run(request):
    """Fork, run, wait."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        out.touch()
        process = os.fork()
        if process == 0:
            _child(request, out, err)
        code = _wait(process)
        return {"code": code, "out": _text(out, request["encoding"]), "err": _text(err, request["encoding"])}


def _wait(process):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def _text(file, encoding):
    return file.read_bytes().decode(encoding, errors="replace") if file.exists() else ""


def _child(request, out, err):
    code = 1
    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(request["environment"])
        tempfile.tempdir = None
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(_output(request["output"], out), 1)
        os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT), 2)
        streams = [
            io.TextIOWrapper(os.fdopen(place, "wb", closefd=False), encoding=request["encoding"]) for place in (1, 2)
        ]
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = streams
        os.chdir(request["folder"])
        sys.argv = ["lightrec", *request["words"]]
        from lightrec.cli.app import main

        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError as error:
                os.write(2, f"Exception ignored in flush: {error}\n".encode())
        os._exit(code)


def _stream(place, encoding):
    return io.TextIOWrapper(os.fdopen(place, "wb", closefd=False), encoding=encoding)


def _output(kind, out):
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    if kind == "closed":
        read, write = os.pipe()
        os.close(read)
        return write
    return os.open(out, os.O_WRONLY)


if __name__ == "__main__":
    # Once for all: what takes long to import, and starts no thread before it is used.
    for name in ("cli.app", "training.train_student", "training.tune", "training.finetune", "export.edit.add_items"):
        importlib.import_module(f"lightrec.{name}")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
