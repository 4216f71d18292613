"""Choose the cache folder, also on machines without a home folder or with one that cannot be written.

It is the folder in the environment variable ``LIGHTREC_CACHE``, by default ``~/.cache/lightrec``. If that cannot be
written, it is a private folder among the temporary files.
"""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from pathlib import Path

from lightrec.errors import ConfigError

CACHE = "LIGHTREC_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder() -> Path:
    """Return the folder for downloads and for results that took long to compute; it need not exist yet.

    Raises:
        ConfigError: if neither the home folder nor the folder of temporary files can be written.
    """
    named = os.environ.get(CACHE)
    if named:
        return Path(named)
    own = _home_cache()
    return own if own is not None and _is_writable(own) else temporary_folder()


def cache_folders() -> list[Path]:
    """Return the folders to look in: the cache folder, and that of a read-only home folder."""
    first, own = cache_folder(), None if os.environ.get(CACHE) else _home_cache()
    return [first] if own is None or own == first else [first, own]


def settle() -> None:
    """Set a home folder and a user name for the libraries if the system has none for this process.

    Call this before importing them: without these some fail, and others write into a folder called ``~``.
    """
    home = _home()
    if home is None or not (home.is_dir() or _is_writable(home)):
        os.environ["HOME"] = str(temporary_folder())
    elif not _is_writable(home / ".cache") and not (home / ".cache" / "huggingface").exists():
        os.environ.setdefault("XDG_CACHE_HOME", str(temporary_folder()))
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")) and not _has_name():
        os.environ["USER"] = f"user-{os.getuid()}"


@functools.cache
def temporary_folder() -> Path:
    """Return a folder among the temporary files that only this user can write; it is the same one at the next start.

    Raises:
        ConfigError: if no temporary file can be written anywhere.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"lightrec-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
        return folder if _is_private(folder) else Path(tempfile.mkdtemp(prefix="lightrec-"))
    except OSError as error:
        raise ConfigError(
            f"Neither the home folder nor a temporary folder can be written ({error.strerror or error}): name a folder "
            f"in {CACHE}."
        ) from None


def _home() -> Path | None:
    """Return the user's home folder; None if the system reports none."""
    try:
        home = Path.home()
    except (RuntimeError, KeyError):
        return None
    return home if home.is_absolute() else None


def _home_cache() -> Path | None:
    home = _home()
    return None if home is None else home / ".cache" / "lightrec"


def _has_name() -> bool:
    """Return whether the system has a name for the user who runs this process."""
    try:
        import pwd
    except ImportError:  # Windows
        return True
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


def _is_writable(folder: Path) -> bool:
    """Return whether ``folder`` can be written or created."""
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    except (OSError, StopIteration):
        return False
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _is_private(folder: Path) -> bool:
    """Create ``folder`` and return whether it belongs to this user alone, so that nobody else can write into it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    owned = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and not facts.st_mode & 0o022)
    return stat.S_ISDIR(facts.st_mode) and owned
