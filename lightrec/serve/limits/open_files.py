"""Compute how many connections the limit of open files allows, and raise that limit if possible."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lightrec.errors import ConfigError

RESERVE = 32
"""Open files reserved for other uses, such as reloading the bundle."""
MAX_PENDING_CONNECTIONS = 2048
"""Connections that the system queues until they are accepted; all may be accepted before any is processed."""
MIN_CONNECTIONS = 8
"""The minimum number of connections for a usable service."""
DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


def room(wanted: int) -> tuple[int, int]:
    """Return how many connections may be open, at most ``wanted``, and how many may wait to be accepted.

    This raises the process's limit of open files as far as needed and allowed.

    Raises:
        ConfigError: if the limit leaves room for too few connections.
    """
    limit = _raised_limit(wanted + MAX_PENDING_CONNECTIONS + RESERVE + _open_files())
    if limit is None:
        return wanted, MAX_PENDING_CONNECTIONS
    free = limit - _open_files() - RESERVE
    waiting = min(MAX_PENDING_CONNECTIONS, max(1, free // 4))
    most = min(wanted, free - waiting)
    if most < min(wanted, MIN_CONNECTIONS):
        raise ConfigError(f"This process may open only {limit} files, too few to serve: raise it with  ulimit -n 1024")
    return most, waiting


def _raised_limit(needed: int) -> int | None:
    """Return the limit of open files, raised towards ``needed`` if possible; None if there is no limit."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    goal = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if goal > soft:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
            soft = goal
    return soft


def _open_files() -> int:
    """Return how many files the process has open; a guess if the system does not report it."""
    folder = next((folder for folder in map(Path, DESCRIPTORS) if folder.is_dir()), None)
    return 64 if folder is None else sum(1 for _ in folder.iterdir())
