"""Read files from untrusted sources, within limits and with one clear error for every defect."""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lightrec.errors import BundleError

MAX_JSON_BYTES = 64 * 2**20
"""The maximum size of a bundle's JSON file, except the lists of ids and titles; see :func:`list_limit`."""
MAX_JSON_DEPTH = 100
"""The maximum nesting of lists and objects."""
MAX_LIST_BYTES = 2**30
"""The maximum size of an unpacked list of ids or titles, however many items there are."""
MAX_BYTES_PER_STRING = 4096
"""The maximum mean size of an id or title."""
MAX_NPY_HEADER_BYTES = 4096
"""The maximum size of the header of a .npy file; NumPy writes about 100 bytes."""


def list_limit(n_items: int) -> int:
    """Return the maximum size of the JSON of ``n_items`` strings."""
    return min(MAX_LIST_BYTES, 2**20 + MAX_BYTES_PER_STRING * n_items)


def read_bytes(file: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """Read a regular file of at most ``limit`` bytes; raise :class:`BundleError` for anything else."""
    try:
        if not file.is_file():  # a folder, an endless pipe or device, or a link to itself
            raise _unreadable(file)
        with file.open("rb") as opened:
            content = opened.read(limit + 1)
    except OSError:
        raise _unreadable(file) from None
    if len(content) > limit:
        raise BundleError(f"{file} is larger than {limit:,} bytes: copy or export the bundle again.")
    return content


def parse_json(content: bytes, file: Path, limit: int = MAX_JSON_BYTES) -> Any:
    """Parse JSON that was read from ``file``; decompress it first if the name ends in .gz.

    Raises:
        BundleError: if it is not JSON (NaN and Infinity are not), or takes more than ``limit`` bytes.
    """
    try:
        text = _unpacked(content, file, limit) if file.suffix == ".gz" else content
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (OSError, ValueError, EOFError, zlib.error, RecursionError, MemoryError):
        raise _unreadable(file) from None


def require_shallow(value: Any, file: Path) -> None:
    """Refuse JSON with more than :data:`MAX_JSON_DEPTH` levels: later steps walk through it level by level."""
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise BundleError(f"{file} nests lists and objects deeper than {MAX_JSON_DEPTH} levels: export again.")


def read_array(file: Path, dtype: type[np.generic], mapped: bool = False) -> np.ndarray:
    """Read the array ``[n]`` of type ``dtype`` in a .npy file.

    The size of the file is compared with the header before anything is allocated.

    Raises:
        BundleError: if the file is missing or holds something else.
    """
    try:
        if not file.is_file():
            raise ValueError
        with file.open("rb") as opened:
            length = _header(opened, np.dtype(dtype))
            start = opened.tell()
            if file.stat().st_size != start + length * np.dtype(dtype).itemsize:
                raise ValueError
            if not mapped or not length:
                return np.fromfile(opened, dtype=dtype, count=length)
        # As a plain array: indexing numpy's memmap costs several times as much.
        return np.asarray(np.memmap(file, dtype, "r", start, (length,))).view(np.ndarray)
    except (OSError, ValueError, MemoryError):
        raise BundleError(
            f"{file} is missing or not a numpy array of {np.dtype(dtype)} in one dimension: export again."
        ) from None


def is_count(value: Any, low: int, high: int) -> bool:
    """Return whether a JSON value is a whole number from ``low`` to ``high``; true and false are not."""
    return type(value) is int and low <= value <= high


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a finite number that fits float32; true and false are not."""
    return type(value) in (int, float) and abs(value) < 3.4e38 and math.isfinite(value)


def is_indices(value: Any, n_items: int) -> bool:
    """Return whether a JSON value is a list of item indices."""
    return isinstance(value, list) and all(is_count(item, 0, n_items - 1) for item in value)


def _header(opened: io.BufferedReader, dtype: np.dtype) -> int:
    """Return the array's length and leave the file at its start; raise ValueError if type or shape differ."""
    version = np.lib.format.read_magic(opened)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError
    try:
        shape, _, found = readers[version](opened, max_header_size=MAX_NPY_HEADER_BYTES)
    except Exception:  # the header is a Python literal, which can be wrong in many ways
        raise ValueError from None
    if found != dtype or len(shape) != 1 or not is_count(shape[0], 0, 2**62):
        raise ValueError
    return shape[0]


def _unpacked(content: bytes, file: Path, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        text = packed.read(limit + 1)
    if len(text) > limit:
        raise BundleError(f"{file} unpacks to more than {limit:,} bytes: copy or export the bundle again.")
    return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def _unreadable(file: Path) -> BundleError:
    return BundleError(f"{file} is missing or not valid JSON: copy or export the bundle again.")
