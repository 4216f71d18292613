"""An ARM64 machine under emulation, for what it answers and never for how long it takes.

A folder holds Debian's Python for ARM64 with NumPy, ONNX Runtime and OpenVINO; qemu runs it in a chroot. lightrec is
that of this checkout. Made once and kept under lightrec's cache folder; needs Linux on x86-64, root and a network.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from debian_packages import unpack

from lightrec.download import cache_folder

ROOT = Path(__file__).parents[1]
SUITE = "bookworm"  # its Python is 3.11
LIBRARIES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
    *("zlib1g", "libbz2-1.0", "liblzma5", "libexpat1", "libffi8", "libgomp1", "libssl3", "libsqlite3-0", "libuuid1"),
)
WHEELS = ("numpy", "onnxruntime", "openvino")
PLATFORMS = ("manylinux_2_35_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")

# ONNX Runtime asks for the files that a process has open, and reads the list of processors. The whole of /proc
# describes the emulator instead of the machine, and libraries hang on it.
START = """set -e
mount --bind /proc/$$/fd "$1/proc/self/fd"
mount --bind /sys "$1/sys"
mount --bind "$2" "$1/checkout"
mount --bind "$3" "$1/shared"
exec chroot "$1" /qemu-aarch64-static /usr/bin/python3.11 -S -c "$4"
"""
PREFIX = "import sys; sys.path[:0] = ['/checkout', '/site']\n"


class Arm64:
    """The machine in the folder ``root``."""

    def __init__(self, root: Path):
        self._root = root

    def run(self, code: str, shared: Path) -> str:
        """What Python ``code`` prints there; it sees the folder ``shared`` as /shared."""
        given = [str(self._root), str(ROOT), str(shared), PREFIX + code]
        command = ["unshare", "--mount", "sh", "-c", START, "sh", *given]
        # Mounts are this process's own and go with it.
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def arm64() -> Arm64:
    """The machine, made if it is not there yet; skips the test where it cannot be."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or os.geteuid() != 0:
        pytest.skip("an emulated ARM64 machine needs root on Linux on x86-64")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("an emulated ARM64 machine needs the right to mount")
    wheels = [f"{name}=={version(name)}" for name in WHEELS]
    root = cache_folder() / f"arm64-{'-'.join(wheels)}"
    if not root.is_dir():
        _make(root.with_name("arm64.part"), wheels).rename(root)
    return Arm64(root)


def _make(root: Path, wheels: list[str]) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    for name in ("proc/self/fd", "sys", "tmp", "checkout", "shared"):
        (root / name).mkdir(parents=True)
    unpack(LIBRARIES, root, SUITE, "arm64")
    unpack(["qemu-user-static"], root / "emulator", SUITE)
    (root / "emulator/usr/bin/qemu-aarch64-static").rename(root / "qemu-aarch64-static")
    shutil.rmtree(root / "emulator")
    where = ["--target", str(root / "site"), "--python-version", "3.11", "--implementation", "cp"]
    where += [f"--platform={name}" for name in PLATFORMS]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", *where, *wheels]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no packages for ARM64 to be had: {done.stderr.strip().splitlines()[-1]}")
    return root
