"""Measure a bundle on another machine, such as a board, over ssh and with the base package alone.

The board needs Python with what ``pip install lightrec`` brings (NumPy, ONNX Runtime, Typer) and no torch; the lightrec
that runs here is copied there, as the bundle is. All files are in one folder, which is deleted at the end.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightrec.errors import ConfigError

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=30")
"""The ssh command, which never prompts: keys and host keys must be set up, as after a first ``ssh HOST`` by hand."""

MAPPED = ("benchmarks", "cli", "export")
"""Packages whose folder may be outside that of lightrec; see ``package-dir`` in pyproject.toml."""

LEFT_OUT = {"__pycache__", "results", "project"}
"""Folders that a board does not need."""


def bench_there(
    host: str,
    bundle: str | Path,
    data: str | Path | None,
    flags: Mapping[str, Any],
    *,
    python: str = "python3",
    progress: Callable[[str], None] = lambda step: None,
) -> list[dict[str, Any]]:
    """Run ``lightrec bench`` on ``host`` and bring its rows back.

    Args:
        host: as for ssh: ``user@board``, or a name of ``~/.ssh/config``.
        bundle: the bundle.
        data: a prepared data set, which is copied as well; None for synthetic histories.
        flags: further flags by name; a list is given once for each value, True without a value, and None not at all.
        python: the interpreter there.
        progress: called with a few words at the beginning of each step.

    Raises:
        ConfigError: if ``host`` is not a host name, cannot be reached, or fails to run it; with its output.
    """
    if not host or host.startswith("-") or any(letter.isspace() for letter in host):
        raise ConfigError(f"--host is {host!r}: give user@board, or a name of ~/.ssh/config.")
    with _folder(host) as folder:
        progress(f"Copying the bundle to {host}")
        _ssh(host, f"tar -xf - -C {shlex.quote(folder)}", _archive(Path(bundle), None if data is None else Path(data)))
        progress(f"Measuring on {host}")
        words = [python, "-m", "lightrec", "bench", "bundle", "--json", *_words(flags)]
        words += [] if data is None else ["--data", "data"]
        output = _ssh(host, f'cd {shlex.quote(folder)} && PYTHONPATH="$PWD" {shlex.join(words)}')
    try:
        rows: list[dict[str, Any]] = json.loads(output)
    except ValueError:
        raise ConfigError(f"--host {host} answered something else than rows: {output[:80]!r}.") from None
    return [row | {"bundle": Path(bundle).resolve().name} if "bundle" in row else row for row in rows]


@contextlib.contextmanager
def _folder(host: str) -> Iterator[str]:
    """Create a folder on the host, and delete it at the end."""
    folder = _ssh(host, "mktemp -d").strip()
    try:
        yield folder
    finally:
        _ssh(host, f"rm -rf {shlex.quote(folder)}")


def _ssh(host: str, command: str, sent: bytes = b"") -> str:
    try:
        done = subprocess.run([*SSH, host, command], input=sent, capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigError("--host needs the program ssh: install OpenSSH's client.") from None
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")
    words = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with code {done.returncode}"]
    last = words[-1].removeprefix("Error: ")
    if "ModuleNotFoundError" in last:
        last = f"{last}: run  pip install lightrec  there, or name another interpreter with --host-python"
    raise ConfigError(f"--host {host} says: {last}")


def _archive(bundle: Path, data: Path | None) -> bytes:
    """Pack the package, the bundle and the data set into an uncompressed tar."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        _add(archive, Path(str(files("lightrec"))), "lightrec")
        for name in MAPPED:
            source = Path(str(files(f"lightrec.{name}")))
            if source.parent.name != "lightrec":
                _add(archive, source, f"lightrec/{name}")
        metadata = f"Metadata-Version: 2.1\nName: lightrec\nVersion: {version('lightrec')}\n".encode()
        entry = tarfile.TarInfo(f"lightrec-{version('lightrec')}.dist-info/METADATA")
        entry.size = len(metadata)
        archive.addfile(entry, io.BytesIO(metadata))
        _add(archive, bundle, "bundle")
        if data is not None:
            _add(archive, data, "data")
    return held.getvalue()


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add the files of a folder and of all folders in it but those of :data:`LEFT_OUT`."""
    for file in sorted(path.rglob("*")):
        inner = file.relative_to(path)
        if file.is_file() and not LEFT_OUT & set(inner.parts):
            archive.add(file, f"{name}/{inner.as_posix()}")


def _words(flags: Mapping[str, Any]) -> list[str]:
    """Turn flags into words of a command line.

    >>> _words({"--cases": 5, "--full": True, "--scaling": False, "--data": None, "--scenario": ["soak"]})
    ['--cases', '5', '--full', '--scenario', 'soak']
    """
    words: list[str] = []
    for name, value in flags.items():
        if value is True:
            words.append(name)
        elif isinstance(value, list):
            words += [word for one in value for word in (name, str(one))]
        elif value is not None and value is not False and value != "":
            words += [name, str(value)]
    return words
