"""A disk that is full, or a place that may not be written: one sentence instead of a library's own exception."""

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
"""Why a file cannot be written, and what to do about it."""

ALWAYS_WRITES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What only a write can answer, whichever file it names."""

CUT_SHORT = re.compile(
    r"\d+ requested and \d+ written"  # numpy
    r"|PytorchStreamWriter failed|file write failed|unexpected pos \d+"  # torch
)
"""How libraries say that a file was not written whole, without the reason."""

IN_WORDS = {
    **{os.strerror(number).lower(): number for number in ALWAYS_WRITES},
    "no space left on device": errno.ENOSPC,
}
"""How libraries that wrap the system's error put it into words."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn every failure to write ``path``, or a file below it, into one :class:`WriteError` that names it.

    Libraries wrap the reason in exceptions of their own, or leave it out: it is found in the chain of exceptions, in
    their text, or by trying to write. Other exceptions pass.
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
    """The sentence about ``error``, which was raised while ``path`` was being written; None if that was not why.

    Without a path only a full disk and the like are told from other errors.
    """
    for link in _chain(error):
        number = _number(link)
        named = getattr(link, "filename2", None) or getattr(link, "filename", None)  # of a copy, where it goes
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
    """The exception and what led to it, the last one first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _number(error: BaseException) -> int | None:
    """The operating system's error number: its own, or the one that a library put into words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error).lower()
    told = {int(number) for number in re.findall(r"(?:os error |\[errno )(\d+)", text)}
    told |= {number for words, number in IN_WORDS.items() if words in text}
    return next(iter(told & ALWAYS_WRITES), None)


def _belongs(named: str, path: Path) -> bool:
    """Whether a file is ``path``, below it, around it, or what is written beside it."""
    found, target = _resolved(Path(named)), _resolved(path)
    beside = f".{target.name}."
    return (
        found.is_relative_to(target)
        or target.is_relative_to(found)
        or any(part.parent == target.parent and part.name.startswith(beside) for part in (found, *found.parents))
    )


def _resolved(path: Path) -> Path:
    """``path`` without symbolic links, as far as they do not lead in a circle."""
    return Path(os.path.realpath(path))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long
        return False


def _try_to_write(path: Path) -> OSError | None:
    """What the operating system says to a small file in or beside ``path``; None if it takes it."""
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
