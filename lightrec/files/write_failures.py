"""Report a full disk or a missing write permission in one sentence, instead of a library's own exception."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from lightrec.errors import LightrecError, WriteError

REASONS = {
    errno.ENOSPC: "no space is left on the disk; free some, or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space, or write elsewhere",
    errno.EFBIG: "a file would exceed the size limit; raise it (ulimit -f), or write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EACCES: "permission is denied; write elsewhere, or change its permissions",
    errno.EPERM: "permission is denied; write elsewhere, or change its permissions",
    errno.EIO: "the disk reports an error; check it, or write elsewhere",
    errno.EBUSY: "it is in use or a mount point; write to a folder inside it, or elsewhere",
    errno.ENOTDIR: "a part of its path is a file; choose another path",
    errno.EEXIST: "a part of its path is a file; choose another path",
    errno.EISDIR: "it is a folder; give the path of a file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its links lead in a circle; choose another path",
}
"""Why a file cannot be written, and what to do about it, by error number."""

ALWAYS_WRITES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Error numbers that only a write can cause, whichever file they name."""

CUT_SHORT = re.compile(
    r"\d+ requested and \d+ written"  # numpy
    r"|PytorchStreamWriter failed|file write failed|unexpected pos \d+"  # torch
)
"""Messages of libraries for a file that was not written completely, without the reason."""

IN_WORDS = {
    **{os.strerror(number).lower(): number for number in ALWAYS_WRITES},
    "no space left on device": errno.ENOSPC,
}
"""Messages of libraries that wrap the system's error, with its number."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn every failure to write ``path``, or a file below it, into one :class:`WriteError` that names it.

    Libraries wrap the reason in their own exceptions, or omit it. It is found in the chain of exceptions, in their
    text, or by trying to write. Other exceptions pass unchanged.
    """
    try:
        yield
    except LightrecError:
        raise
    except Exception as error:
        failure = write_failure(error, path)
        if failure is None:
            raise
        raise failure from error


def write_failure(error: BaseException, path: Path | None) -> WriteError | None:
    """Return the error to raise for ``error``, raised while writing ``path``; None if writing was not the cause.

    Without a path, only a full disk and similar causes are recognised.
    """
    for link in _chain(error):
        number = _number(link)
        named = getattr(link, "filename2", None) or getattr(link, "filename", None)  # of a copy, the target
        if path is not None and number in REASONS and (named is None or _belongs(str(named), path)):
            return _sentence(path, number)
        if number in ALWAYS_WRITES:
            return _sentence(named or "A file", number)
    tried = None if path is None else _try_to_write(path)
    if tried is not None and tried.errno in ALWAYS_WRITES:
        return _sentence(path, tried.errno)
    if any(CUT_SHORT.search(str(link)) for link in _chain(error)):
        place = "A file" if path is None else path
        return WriteError(f"{place} cannot be written whole: is the disk full, or the file too large?")
    return None


def _sentence(place: object, number: int) -> WriteError:
    return WriteError(f"{place} cannot be written: {REASONS[number]}.")


def _chain(error: BaseException) -> list[BaseException]:
    """Return the exception and its causes, the last one first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _number(error: BaseException) -> int | None:
    """Return the operating system's error number, from the exception or from a library's message."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error).lower()
    told = {int(number) for number in re.findall(r"(?:os error |\[errno )(\d+)", text)}
    told |= {number for words, number in IN_WORDS.items() if words in text}
    return next(iter(told & ALWAYS_WRITES), None)


def _belongs(named: str, path: Path) -> bool:
    """Return whether a file is ``path``, inside it, one of its parents, or its temporary file."""
    found, target = _resolved(Path(named)), _resolved(path)
    beside = f".{target.name}."
    return (
        found.is_relative_to(target)
        or target.is_relative_to(found)
        or any(part.parent == target.parent and part.name.startswith(beside) for part in (found, *found.parents))
    )


def _resolved(path: Path) -> Path:
    """Return ``path`` without symbolic links, unless they form a cycle."""
    return Path(os.path.realpath(path))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long
        return False


def _try_to_write(path: Path) -> OSError | None:
    """Try to write a small file in or next to ``path``; return the system's error, or None on success."""
    place = _resolved(path)
    folder = next((folder for folder in (place, *place.parents) if _is_folder(folder)), None)
    if folder is None:
        return None
    trial = folder / f".lightrec-{uuid.uuid4().hex[:8]}"
    try:
        with trial.open("wb") as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return None
