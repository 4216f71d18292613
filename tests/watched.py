"""Run a command in a new home, without a network, and record which files it writes and whom it tries to reach."""

from __future__ import annotations

import codecs
import functools
import ipaddress
import os
import re
import shutil
import subprocess
import sys
import tempfile
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

QUERY = re.compile(r"\bsend\w+\(.*?\"([^\"]*\\0\\1)\"")
"""A question for the address of a name, as strace prints it: it ends with the type and the class."""

ALONE = """
ip link set lo up
mount --bind "$1" /etc/resolv.conf
shift
exec "$@"
"""
"""Runs its words beside the loopback interface alone, where no name server answers."""

OURS = ".cache/lightrec"
"""What lightrec may write into a home folder, as docs/privacy.md says."""

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
    names: frozenset[str]
    """Names of machines whose addresses it asked for."""

    @property
    def foreign(self) -> set[str]:
        """The files and folders in the home that are not lightrec's own."""
        parents = {parent.as_posix() for parent in Path(OURS).parents}
        return {file for file in self.files - parents if file != OURS and not file.startswith(f"{OURS}/")}


@functools.cache
def missing() -> str | None:
    """Why nothing can be watched here; None if it can."""
    if sys.platform != "linux":
        return "watching system calls needs Linux"
    absent = [name for name in ("strace", "unshare", "ip") if shutil.which(name, path=_path()) is None]
    if absent:
        return f"watching system calls needs {', '.join(absent)}"
    with tempfile.TemporaryDirectory() as folder:
        command = [*_alone(Path(folder)), "strace", "-qq", "-o", os.devnull, "true"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
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
    traced = ["strace", "-qq", "-f", "--seccomp-bpf", "-s", "300", "-e", f"trace={CALLS}", "-o", log, *command]
    done = subprocess.run(
        [*_alone(home.parent), *map(str, traced)],
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
    calls = log.read_text(encoding="utf-8", errors="replace")
    return Watched(
        done.returncode,
        done.stdout,
        frozenset(name for name in files if name.upper() not in HOMES),
        frozenset(reached(calls)),
        frozenset(names(calls)),
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


def names(log: str) -> set[str]:
    r"""The names that strace's log shows questions to a name server for.

    >>> names(r'sendto(8, "z\374\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1", 29, MSG_NOSIGNAL, NULL, 0) = 29')
    {'example.org'}
    """
    return {_name(codecs.decode(query, "unicode_escape").encode("latin-1")) for query in QUERY.findall(log)}


def _name(question: bytes) -> str:
    """The name in a question: after twelve bytes of header its labels, each after its length."""
    labels, place = [], 12
    while place < len(question) and question[place]:
        labels.append(question[place + 1 : place + 1 + question[place]].decode("latin-1"))
        place += 1 + question[place]
    return ".".join(labels)


def _is_here(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _alone(folder: Path) -> list[str]:
    """Begins a command that runs in a network namespace without a network; ``folder`` keeps a file for it."""
    servers = folder / "resolv.conf"
    servers.write_text("nameserver 127.0.0.1\n")
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", "--mount", *own_user, "sh", "-ec", ALONE, "sh", str(servers)]


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
