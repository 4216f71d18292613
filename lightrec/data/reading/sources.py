"""The files that make up a log: one, several, or all in a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lightrec.errors import DataError


def find_files(paths: str | Path | Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the files that ``paths`` name, in their order, and notes on ignored files.

    The files of a folder are ordered by name, with numbers by their value. Names that start with a dot or
    an underscore are marks of the program that wrote the parts, and empty parts hold nothing: both are left out.

    Raises:
        DataError: if a path does not exist, a file is empty, or a folder holds no file of data or further folders.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        if path.is_dir():
            found, note = _parts(path)
            files += found
            notes += note
        elif not path.exists():
            raise DataError(f"{path} does not exist: check the path.")
        elif path.is_file() and path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty: it needs a header and at least one row.")
        else:
            files.append(path)
    if not files:
        raise DataError("No file of interactions is given: name at least one.")
    twice = next((file for place, file in enumerate(files) if file.resolve() in map(Path.resolve, files[:place])), None)
    if twice is not None:
        raise DataError(f"{twice} is given twice: name each file once.")
    return files, notes


def _parts(folder: Path) -> tuple[list[Path], list[str]]:
    entries = sorted(folder.iterdir(), key=lambda entry: _by_number(entry.name))
    marks = [entry for entry in entries if entry.name.startswith((".", "_"))]
    rest = [entry for entry in entries if entry not in marks]
    inner = next((entry for entry in rest if entry.is_dir()), None)
    if inner is not None:
        raise DataError(f"{folder} has a folder in it ({inner.name}): give one folder of files alone, or the files.")
    empty = [entry for entry in rest if entry.stat().st_size == 0]
    files = [entry for entry in rest if entry not in empty]
    if not files:
        raise DataError(f"{folder} is a folder without a file of data in it: give a file, or a folder of parts.")
    ignored = [entry.name for entry in marks + empty]
    notes = [f"{folder.name}: {len(files):,} {'parts' if len(files) > 1 else 'part'}, in the order of their names."]
    if ignored:
        shown = ", ".join(ignored[:3]) + (", ..." if len(ignored) > 3 else "")
        notes.append(f"{folder.name}: ignored {len(ignored):,} that hold no rows ({shown}).")
    return files, notes


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts part-2 before part-10."""
    pieces = re.split(r"(\d+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
