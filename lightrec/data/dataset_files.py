"""The files of a prepared data set; each is compared with its SHA-256, so that only unchanged files are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.errors import BundleError, DataError
from lightrec.files.atomic import sha256_file
from lightrec.files.untrusted import is_count, parse_json, read_array, read_bytes, require_shallow

FORMAT_VERSION = 1
DESCRIPTION = "dataset.json"
OWN_DIGEST = "description_sha256"
"""Key of the SHA-256 over the rest of the description; data sets of the first versions have none."""
ARRAYS: dict[str, type[np.generic]] = {"offsets": np.int64, "items": np.int32, "timestamps": np.int64}
LISTS = ("user_ids", "item_ids", "item_texts", "item_titles")
FILES = (*(f"{name}.npy" for name in ARRAYS), *(f"{name}.json" for name in LISTS))
LARGEST_COUNT = 2**40
LARGEST_LIST = 2**34
"""Most bytes of a list of ids or texts."""


def read_description(path: Path) -> dict[str, Any]:
    """Read the content of dataset.json.

    Raises:
        DataError: if the folder is not a prepared data set, was written by a newer version, or the file is damaged.
    """
    file = path / DESCRIPTION
    if not file.exists():
        raise DataError(
            f"{path} is not a prepared data set (it holds no {DESCRIPTION}): "
            f"make one with  lightrec data prepare INTERACTIONS --out {path}"
        )
    try:
        description = parse_json(read_bytes(file), file)
        require_shallow(description, file)
    except BundleError:
        raise damaged(file) from None
    if not isinstance(description, dict) or not _is_unicode(description):
        raise damaged(file)
    version = description.get("format_version")
    if is_count(version, FORMAT_VERSION + 1, 10**6):
        raise DataError(
            f"{path} has format version {version}, this lightrec reads up to {FORMAT_VERSION}: upgrade lightrec or "
            "prepare the data again."
        )
    if not _is_sound(description):
        raise damaged(file)
    return description


def require_unchanged(path: Path, description: dict[str, Any], names: Iterable[str] = FILES) -> None:
    """Raise DataError if files are missing or differ from their SHA-256, naming them all."""
    changed = [name for name in sorted(names) if _digest(path / name) != description["files"][name]]
    if changed:
        raise DataError(
            f"{path} is damaged: {', '.join(changed)} missing or different from the SHA-256 in {DESCRIPTION}; copy or "
            "prepare the data set again."
        )


def read_numbers(path: Path, name: str) -> np.ndarray:
    """Read the array ``name`` of a data set, memory-mapped, without checking its SHA-256.

    Raises:
        DataError: if its file is missing or holds another kind of array.
    """
    file = path / f"{name}.npy"
    try:
        return read_array(file, ARRAYS[name], mapped=True)
    except BundleError:
        raise damaged(file) from None


def read_texts(path: Path, name: str, description: dict[str, Any]) -> list[Any]:
    """Read the list ``name`` of a data set: strings, or strings and None for texts and titles.

    Raises:
        DataError: if its file is missing, or differs from the one that was written.
    """
    file = path / f"{name}.json"
    require_unchanged(path, description, [file.name])
    try:
        values = parse_json(read_bytes(file, LARGEST_LIST), file)
    except BundleError:
        raise damaged(file) from None
    ids = name.endswith("_ids")
    count = description["users" if name == "user_ids" else "items"]
    kinds = {str} if ids else {str, type(None)}
    if not isinstance(values, list) or len(values) != count or not {type(value) for value in values} <= kinds:
        raise damaged(file)
    if not _is_unicode(values):
        raise damaged(file)
    if ids and len(set(values)) != count:
        raise damaged(file)
    return values


def require_fitting(path: Path, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Raise DataError if the arrays do not fit together, naming the file."""
    offsets, items, timestamps = (arrays[name] for name in ("offsets", "items", "timestamps"))
    n_users, n_items, events = (description[key] for key in ("users", "items", "interactions"))
    rising = len(offsets) == n_users + 1 and offsets[0] == 0 and offsets[-1] == events and (np.diff(offsets) >= 0).all()
    fits = {
        "offsets": bool(rising),
        "items": len(items) == events and (events == 0 or (items.min() >= 0 and items.max() < n_items)),
        "timestamps": len(timestamps) == events,
    }
    for name, holds in fits.items():
        if not holds:
            raise damaged(path / f"{name}.npy")


def changed_files(path: Path, description: dict[str, Any]) -> list[str]:
    """Return the names of files that are missing or differ from their SHA-256; this reads all files."""
    recorded = description["files"]
    return [name for name in sorted(FILES) if _digest(path / name) != recorded[name]]


def checksum(files: dict[str, str], order_only: bool) -> str:
    """Return the SHA-256 over the checksums of all files and ``order_only``."""
    lines = [f"{name} {digest}\n" for name, digest in sorted(files.items())]
    return hashlib.sha256("".join([*lines, f"order_only {order_only}\n"]).encode()).hexdigest()


def own_digest(description: dict[str, Any]) -> str:
    """Return the SHA-256 of a description without :data:`OWN_DIGEST`, in one canonical spelling."""
    rest = {key: value for key, value in description.items() if key != OWN_DIGEST}
    text = json.dumps(json.loads(json.dumps(rest)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def damaged(file: Path) -> DataError:
    """Return the error for a file that differs from what was written."""
    return DataError(f"{file} is missing or damaged: copy or prepare the data set again.")


def _is_sound(description: dict[str, Any]) -> bool:
    """Return whether every key read later is present and of its type, and the checksums match."""
    files, order_only = description.get("files"), description.get("order_only")
    return (
        is_count(description.get("format_version", 1), 0, FORMAT_VERSION)
        and isinstance(description.get("name"), str)
        and all(is_count(description.get(key), 0, LARGEST_COUNT) for key in ("users", "items", "interactions"))
        and isinstance(order_only, bool)
        and isinstance(files, dict)
        and all(isinstance(digest, str) for digest in files.values())
        and set(FILES) <= set(files)
        and description.get("checksum") == checksum(files, order_only)
        and description.get(OWN_DIGEST) in (None, own_digest(description))
    )


def _is_unicode(value: Any) -> bool:
    """Return whether the strings of JSON can be written as UTF-8: half a surrogate pair cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(file: Path) -> str | None:
    """Return the SHA-256 of a regular file; None for anything else, such as a pipe that never ends."""
    return sha256_file(file) if file.is_file() else None
