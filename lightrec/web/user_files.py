"""Preserve a user's files, such as pages, when a web package is written again to the same folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lightrec.errors import ConfigError

PRECACHE = "precache.js"
"""The list of a package's files for its service worker; a folder without it is not a package."""
HEAD, TAIL = "self.PRECACHE = ", ";\n"
UNLISTED = (PRECACHE, "service-worker.js", "lightrec.d.ts", "bundle/golden.json")
"""Files of every package that the list leaves out."""


def packaged_files(package: Path) -> set[str]:
    """Return the files that packaging wrote to ``package``, as paths inside it.

    Raises:
        ConfigError: if the folder is not a web package.
    """
    try:
        text = (package / PRECACHE).read_text(encoding="utf-8")
        listed = json.loads(text.removeprefix(HEAD).removesuffix(TAIL))["files"]
    except (OSError, ValueError, LookupError, TypeError):
        raise ConfigError(f"--out {package} exists and is not a web package: choose a new folder.") from None
    return {*UNLISTED, *("index.html" if name == "./" else name for name in listed)}


def carry_own_files(old: Path, new: Path) -> None:
    """Copy the files in the previous package ``old`` that packaging did not write to the package ``new``.

    Raises:
        ConfigError: if such a file has the name of a file in the new package.
    """
    written = packaged_files(old)

    def kept_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(old)
        paths = {name: (inside / name).as_posix() for name in names}
        own = [path for path in paths.values() if path not in written and not _is_folder(old / path)]
        clash = next((path for path in own if (new / path).exists()), None)
        if clash is not None:
            raise ConfigError(f"--out {old} holds a {clash} of your own, and the new package another: rename yours.")
        return {name for name, path in paths.items() if path in written}

    shutil.copytree(old, new, symlinks=True, ignore=kept_out, dirs_exist_ok=True)


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder and not a link to one; links are copied as links."""
    return path.is_dir() and not path.is_symlink()
