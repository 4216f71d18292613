"""Run a command in a new home, without a network, and record which files it writes and whom it tries to reach."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CALLS = "connect,sendto,sendmsg,sendmmsg"
"""The system calls that name the address of another machine."""

ADDRESS = re.compile(
    r"sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )\"([^\"]+)\"",
)
RESOLVER = 53
"""The port of name servers; a machine may have one of its own on the loopback interface."""

HOMES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Watched:
    """What a command did."""

    code: int
    """Its exit code."""
    said: str
    """What it printed, errors included."""
    files: frozenset[str]
    """Files and folders in its home, by their paths there."""
    reached: frozenset[str]
    """Addresses that it tried to reach, as ``address:port``, those of this machine left out."""


@functools.cache
def missing() -> str | None:
    """Why nothing can be watched here; None if it can."""
    if sys.platform != "linux":
        return "watching system calls needs Linux"
    absent = [name for name in ("strace", "unshare", "ip") if shutil.which(name, path=_path()) is None]
    if absent:
        return f"watching system calls needs {', '.join(absent)}"
    done = subprocess.run([*_alone(), "strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"watching system calls is not allowed here: {done.stderr.strip()[-200:]}"


def watch(command: Sequence[object], home: Path, folder: Path, words: str = "", **variables: str) -> Watched:
    """Run ``command`` in ``folder``; the test is skipped where nothing can be watched.

    The process sees no variable of this one but the path, so that no CI service is recognized, and a network with the
    loopback interface alone.

    Args:
        command: the program and its arguments.
        home: becomes its home folder, with the folders of the XDG variables in it; made where missing.
        folder: its working folder.
        words: its standard input.
        variables: further environment variables.
    """
    if reason := missing():
        pytest.skip(reason)
    places = {name: str(home / name.lower()) for name in HOMES}
    for place in (home, home.with_name(f"{home.name}-tmp"), *map(Path, places.values())):
        place.mkdir(parents=True, exist_ok=True)
    log = home.with_name(f"{home.name}.strace")
    environment = {"PATH": _path(), "HOME": str(home), "TMPDIR": f"{home}-tmp", "OMP_NUM_THREADS": "1", **places}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    traced = ["strace", "-qq", "-f", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", log, *command]
    done = subprocess.run(
        [*_alone(), *map(str, traced)],
        cwd=folder,
        env={**environment, **variables},
        input=words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    files = (path.relative_to(home).as_posix() for path in home.rglob("*"))
    return Watched(
        done.returncode,
        done.stdout,
        frozenset(name for name in files if name.upper() not in HOMES),
        frozenset(reached(log.read_text(encoding="utf-8", errors="replace"))),
    )


def reached(log: str) -> set[str]:
    """The addresses in strace's log, without those of this machine.

    >>> sorted(reached('connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0'))
    ['127.0.0.53:53']
    >>> reached('connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0')
    set()
    """
    found = ((int(port), ipaddress.ip_address(address)) for port, address in ADDRESS.findall(log))
    return {f"{address}:{port}" for port, address in found if port == RESOLVER or not _is_here(address)}


def _is_here(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _alone() -> list[str]:
    """Runs the following words in a network namespace that has the loopback interface alone."""
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", *own_user, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
