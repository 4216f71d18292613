"""An ARM64 machine under emulation, for what it answers and never for how long it takes.

A folder holds Debian's Python for ARM64 with what ``pip install lightrec`` brings, and OpenVINO apart from that; qemu
runs it in a chroot. lightrec is that of this checkout, or one that is copied there. Made once and kept under lightrec's
cache folder; needs Linux on x86-64, root and a network.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from debian_packages import unpack

from lightrec.files.download import cache_folder

ROOT = Path(__file__).parents[1]
SUITE = "bookworm"  # its Python is 3.11
LIBRARIES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
    *("zlib1g", "libbz2-1.0", "liblzma5", "libexpat1", "libffi8", "libgomp1", "libssl3", "libsqlite3-0", "libuuid1"),
)
EMULATOR = ("qemu-user-static", "busybox-static")
BASE, OPENVINO = ("numpy", "onnxruntime", "typer"), ("openvino",)
PLATFORMS = ("manylinux_2_35_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")

MODEL = "ARM64 emulated by QEMU: its times mean nothing"
"""What the machine calls itself, where a board has the name of its model: so do the rows that it writes."""

# The kernel starts no program for ARM64, but this script: the interpreter, and the workers that Python starts through
# sys.executable, which is the script too.
PYTHON = """#!/busybox sh
exec /qemu-aarch64-static -0 "$0" /usr/bin/python3.11 -S "$@"
"""

# ONNX Runtime asks for the files that a process has open, and reads the list of processors. The whole of /proc
# describes the emulator instead of the machine, and libraries hang on it.
START = """set -e
mount --bind /proc/$$/fd "$1/proc/self/fd"
mount --bind /sys "$1/sys"
mount --bind "$2" "$1/checkout"
mount --bind "$PWD" "$1/shared"
root=$1 && shift 2
exec chroot "$root" /busybox sh -c 'cd /shared && exec /usr/bin/python3 "$@"' sh "$@"
"""


class Arm64:
    """The machine in the folder ``root``."""

    def __init__(self, root: Path):
        self._root = root

    def run(self, code: str, shared: Path) -> str:
        """What Python ``code`` prints there, with this checkout's lightrec; the folder ``shared`` is /shared."""
        words = [*self._start("/checkout:/site:/openvino"), "-c", code]
        done = subprocess.run(words, cwd=shared, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, command: Path) -> Path:
        """A command of this machine, ``command``, that is Python there, with what ``pip install lightrec`` brings.

        The folder that it is started in is /shared there, and the first that modules are imported from.
        """
        words = shlex.join(self._start("/shared:/site"))
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        return command

    def _start(self, path: str) -> list[str]:
        """Starts Python there, in the folder where this is started; it imports from the folders of ``path``."""
        # Mounts are the process's own and go with it.
        return ["env", f"PYTHONPATH={path}", "unshare", "--mount", "sh", "-c", START, "sh", str(self._root), str(ROOT)]


def arm64() -> Arm64:
    """The machine, made if it is not there yet; skips the test where it cannot be."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or os.geteuid() != 0:
        pytest.skip("an emulated ARM64 machine needs root on Linux on x86-64")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("an emulated ARM64 machine needs the right to mount")
    base, more = ([f"{name}=={version(name)}" for name in names] for names in (BASE, OPENVINO))
    told = repr((SUITE, LIBRARIES, EMULATOR, base, more, PLATFORMS, MODEL, PYTHON))
    root = cache_folder() / f"arm64-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    if not root.is_dir():
        _make(root.with_name("arm64.part"), base, more).rename(root)
    return Arm64(root)


def _make(root: Path, base: list[str], more: list[str]) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    for name in ("proc/self/fd", "proc/device-tree", "sys", "tmp", "checkout", "shared"):
        (root / name).mkdir(parents=True)
    (root / "proc/device-tree/model").write_text(MODEL, encoding="utf-8")
    unpack(LIBRARIES, root, SUITE, "arm64")
    unpack(EMULATOR, root / "emulator", SUITE)
    (root / "emulator/usr/bin/qemu-aarch64-static").rename(root / "qemu-aarch64-static")
    (root / "emulator/bin/busybox").rename(root / "busybox")
    shutil.rmtree(root / "emulator")
    (root / "usr/bin/python3").write_text(PYTHON, encoding="utf-8")
    (root / "usr/bin/python3").chmod(0o755)
    _install(root / "site", base)
    _install(root / "openvino", ["--no-deps", *more])
    return root


def _install(folder: Path, words: list[str]) -> None:
    where = ["--target", str(folder), "--python-version", "3.11", "--implementation", "cp"]
    where += [f"--platform={name}" for name in PLATFORMS]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *where, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no packages for ARM64 to be had: {done.stderr.strip().splitlines()[-1]}")
