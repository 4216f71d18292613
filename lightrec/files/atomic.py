"""Checksums, JSON, and atomic writing of files and folders, which are never left half-written.

A file or folder is written in the target's parent folder under ``.NAME.lightrec-xxxxxxxx``, flushed to disk, and moved
to its path by one rename or exchange. If the file system has no exchange, a folder to be replaced is first moved to
``.NAME.lightrec-xxxxxxxx.old``; if the process is killed just then, the next writer or reader moves it back. The next
writer removes the temporary files of killed processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightrec.errors import LightrecError, WriteError
from lightrec.files.locks import locked
from lightrec.files.write_failures import writing

MARK = "lightrec-"
"""The part of the names of temporary files and folders before eight hex digits."""

LEFTOVER = re.compile(rf"\.(?P<name>.+)\.(?P<mark>{MARK})?[0-9a-f]{{8}}(?P<old>\.old)?")
"""Names of temporary files and folders; those of older versions have no mark."""

MEND = "restore it from a copy, or run its command again with another --out"
"""The advice in messages about a command's damaged record."""


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Return the content of a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path, types: Mapping[str, type], error: type[LightrecError]) -> dict[str, Any]:
    """Read the object in a UTF-8 JSON file, and check the types of the keys that are present.

    Args:
        path: the file.
        types: types of the values by key; ``a.b`` is the key ``b`` of the object at ``a``. A float may be an int.
        error: the error raised, naming the file, if it cannot be read, is not such an object, or a value has another
            type; and later, if the program reads a key that the object lacks.
    """
    values = _Object.read(path, error)
    for key, kind in types.items():
        place: Any = values
        *outer, last = key.split(".")
        for part in outer:
            place = place.get(part) if isinstance(place, dict) else None
        if isinstance(place, dict) and last in place and not _is(place[last], kind):
            raise error(f"{path} is damaged: its {key!r} must be of type {kind.__name__}; {MEND}.")
    return values


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


class _Object(dict[str, Any]):
    """A JSON object that raises an error naming a key it lacks, as do the objects inside it."""

    say: Callable[[str], LightrecError]

    @classmethod
    def read(cls, path: Path, error: type[LightrecError]) -> _Object:
        def lacks(key: str) -> LightrecError:
            return error(f"{path} is damaged: it has no {key!r}; {MEND}.")

        def made(pairs: dict[str, Any]) -> _Object:
            found = cls(pairs)
            found.say = lacks
            return found

        try:
            values = json.loads(path.read_text(encoding="utf-8"), object_hook=made)
        except (OSError, ValueError, RecursionError):
            raise error(f"{path} is missing, damaged or cut short: it is not JSON; {MEND}.") from None
        if not isinstance(values, _Object):
            raise error(f"{path} is damaged: it holds no JSON object; {MEND}.")
        return values

    def __missing__(self, key: str) -> Any:
        raise self.say(key)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically: to a temporary file, which is then renamed.

    Raises:
        WriteError: if it cannot be written; an existing file stays as it was.
    """
    content = text.encode("utf-8", errors="backslashreplace")  # for paths that are not valid text
    with new_file(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; non-finite numbers are refused."""
    write_text(path, json_text(value, indent=2) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return ``value`` as JSON that UTF-8 can encode: paths that are not valid text are written with JSON escapes.

    Raises:
        ValueError: if a number in it is not finite.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)
    return text


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to; on success the file is moved to ``path``, on failure it is deleted.

    If another process is writing the same file, this waits for it.

    Raises:
        WriteError: if it cannot be written; an existing file stays as it was.
    """
    target = _resolved(path)
    with writing(path):
        _refuse_device(target)
    with writing(path), _beside(target, wait=True) as beside:
        yield beside
        _sync(beside)
        beside.replace(target)
        _sync(target.parent)


def _resolved(path: Path) -> Path:
    """Return ``path`` without symbolic links; raise OSError for a cycle of links, in every version of Python."""
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _refuse_device(target: Path) -> None:
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise WriteError(f"{target} is a device or a pipe, which a file would replace: give the path of a file.")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on success it is moved to ``path``, on failure it is deleted.

    An existing folder at ``path`` is replaced as a whole at the end, and stays as it was if the body fails.

    Raises:
        WriteError: if it cannot be written, or another process is writing it.
    """
    target = _resolved(path)
    with writing(path), _beside(target, wait=False) as beside:
        beside.mkdir()
        yield beside
        sync_tree(beside)
        _put(beside, target)
        _sync(target.parent)


def restore(path: Path) -> None:
    """Move back a folder that a writer had moved aside when it was killed; there is rarely anything to do."""
    if path.exists():
        return
    target = _resolved(path)
    if not target.parent.is_dir() or not _moved_aside(target):
        return
    # Without write permission, leave everything as it is: the reader will report that nothing is there.
    with contextlib.suppress(OSError), locked(target, wait=True) as sole:
        if sole:
            _put_back(target)


def sync_tree(folder: Path) -> None:
    """Flush every file below ``folder``, and the folders' entries, to disk."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(place) / name)
        _sync(Path(place))


def is_leftover(name: str) -> bool:
    """Return whether a name is that of a temporary file or lock that a killed process may leave behind."""
    found = LEFTOVER.fullmatch(name)
    return (name.startswith(".") and name.endswith(".lock")) or (found is not None and found["mark"] is not None)


@contextlib.contextmanager
def _beside(path: Path, *, wait: bool) -> Iterator[Path]:
    """Yield a free temporary path next to ``path``, under its lock; at the end, remove what is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, wait=wait) as sole:
        if sole:
            _put_back(path)
            _clear(path)
        beside = path.with_name(f".{path.name}.{MARK}{uuid.uuid4().hex[:8]}")
        try:
            yield beside
        finally:
            _remove(beside)
            _remove(beside.with_name(f"{beside.name}.old"))


def _put(beside: Path, path: Path) -> None:
    """Move a folder to ``path``; an existing one ends up at ``beside``, or moved aside."""
    if not path.exists():
        beside.replace(path)
    elif not _exchange(beside, path):
        old = beside.with_name(f"{beside.name}.old")
        try:
            path.replace(old)
            beside.replace(path)
        except BaseException:
            if old.exists() and not path.exists():
                old.replace(path)
            raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; return False if the system or the file system cannot."""
    libc: Any = ctypes.CDLL(None) if sys.platform != "win32" else None
    paths = (os.fsencode(one), os.fsencode(other))
    here = -100  # AT_FDCWD: relative paths start at the current folder
    if hasattr(libc, "renameat2"):  # Linux
        failed = libc.renameat2(here, paths[0], here, paths[1], 2)
    elif hasattr(libc, "renamex_np"):  # macOS
        failed = libc.renamex_np(*paths, 2)
    else:
        return False
    return not failed


def _leftovers(path: Path) -> list[tuple[Path, re.Match[str]]]:
    found = ((entry, LEFTOVER.fullmatch(entry.name)) for entry in path.parent.iterdir())
    return [(entry, match) for entry, match in found if match and match["name"] == path.name]


def _moved_aside(path: Path) -> list[Path]:
    return [entry for entry, match in _leftovers(path) if match["old"]]


def _put_back(path: Path) -> None:
    """Undo a half-finished replacement; the caller holds the lock."""
    if not path.exists() and (aside := _moved_aside(path)):
        max(aside, key=lambda entry: entry.stat().st_mtime_ns).replace(path)


def _clear(path: Path) -> None:
    """Remove what killed processes left next to ``path``; the caller holds the lock.

    Folders of older versions stay, because the user might have chosen such a name.
    """
    for entry, match in _leftovers(path):
        if match["mark"]:
            _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk, if the file system supports it."""
    if sys.platform == "win32" and path.is_dir():
        return
    place = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(place)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(place)
