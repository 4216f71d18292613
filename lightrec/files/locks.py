"""Allow one writer at a time, by a lock file next to each file or folder that is being written.

The lock belongs to the operating system, which releases it however the process ends. Some network file systems have no
locks; there, and between machines that share a file system, two writers are not kept apart.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lightrec.errors import WriteError

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Error numbers of a file system without locks."""

HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""Error numbers when another process holds the lock."""


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of ``path``, which need not exist; the folder around it must.

    Args:
        path: the file or folder to be written.
        wait: whether to wait for another process that holds the lock, instead of raising an error.

    Yields:
        Whether the lock is held; False if the file system has no locks.

    Raises:
        WriteError: if another process holds the lock.
    """
    place = lock_of(path)
    lock = _acquire(place, wait)
    if lock == _BUSY:
        raise WriteError(
            f"{path} is being written by another lightrec command: wait until it ends, or choose another place to "
            "write to."
        )
    try:
        yield lock is not None
    finally:
        if lock is not None:
            _release(place, lock)


def lock_of(path: Path) -> Path:
    """Return the lock file of ``path``."""
    return path.with_name(f".{path.name}.lock")


def remove_stale_locks(folder: Path) -> None:
    """Remove the lock file of ``folder`` and those of its files that killed commands left; a held lock stays."""
    for lock in (lock_of(folder), *folder.glob(".*.lock")):
        if lock.exists():
            with contextlib.suppress(WriteError, OSError), locked(lock.with_name(lock.name[1 : -len(".lock")])):
                pass


_BUSY = -1


def _acquire(place: Path, wait: bool) -> int | None:
    """Return the descriptor that holds the lock, :data:`_BUSY`, or None if there are no locks."""
    while True:
        lock = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(lock, wait)
            # The previous holder removes the lock file, so the file locked here may have been deleted.
            if os.path.samestat(place.stat(), os.fstat(lock)):
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if error.errno in NO_LOCKS:
                return None
            if error.errno in HELD:
                return _BUSY
            raise
        os.close(lock)


if sys.platform == "win32":
    import msvcrt

    def _lock(lock: int, wait: bool) -> None:
        while True:
            try:
                return msvcrt.locking(lock, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:  # LK_LOCK itself gives up after ten seconds
                    raise

    def _release(place: Path, lock: int) -> None:
        os.close(lock)
        with contextlib.suppress(OSError):  # another process has opened it meanwhile
            place.unlink()

else:
    import fcntl

    def _lock(lock: int, wait: bool) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

    def _release(place: Path, lock: int) -> None:
        with contextlib.suppress(OSError):
            place.unlink()
        os.close(lock)
