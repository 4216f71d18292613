"""The strings of a large catalogue in memory-mapped files: an item gets a Python object only when it is used.

    NAME.utf8.npy       uint8 [bytes]: the strings one after another in UTF-8; a null is the one byte 0xFF
    NAME.offsets.npy    int64 [N + 1]: where each begins, and where the last one ends
    NAME.hashes.npy     uint32 [N], of ids only: their CRC-32, sorted
    NAME.order.npy      int32 [N], of ids only: the index of the item that each hash belongs to

A hash only tells where to look: ids with equal hashes are compared themselves.
"""

from __future__ import annotations

import operator
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from lightrec.errors import BundleError, DataError
from lightrec.files.untrusted import read_array

NULL = b"\xff"
"""The encoding of a null: a byte that never occurs in UTF-8."""
HASH = zlib.crc32
"""The hash of an id's UTF-8: it takes 0.1 microseconds, exists in every language, and some 0.2 % of ten million ids
share theirs."""


FOUND_AT_ONCE = 10_000
"""How many ids are looked up at a time when a catalogue is verified."""


def string_files(name: str) -> tuple[str, str]:
    """Return the file names of :class:`PackedStrings`."""
    return f"{name}.utf8.npy", f"{name}.offsets.npy"


def id_files(name: str) -> tuple[str, str, str, str]:
    """Return the file names of :class:`PackedIds`."""
    return *string_files(name), f"{name}.hashes.npy", f"{name}.order.npy"


class PackedStrings(Sequence[Any]):
    """N strings or nulls, each decoded when it is used."""

    def __init__(self, text: np.ndarray, offsets: np.ndarray):
        self.text = text
        """uint8: all strings, one after another."""
        self.offsets = offsets
        """int64 ``[N + 1]``: where each string begins, and where the last one ends."""

    def raw(self, index: int) -> bytes:
        """Return the UTF-8 of one string, :data:`NULL` for null; ``index`` must not be negative."""
        start, stop = self.offsets[index : index + 2].tolist()
        return self.text[start:stop].tobytes()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = operator.index(index)
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"there is no string {index} of {len(self)}")
        raw = self.raw(place)
        # Mapped files are not checked when they are opened, so they may hold invalid UTF-8.
        return None if raw == NULL else raw.decode("utf-8", "replace")

    def problem(self) -> str | None:
        """Read all of the arrays and return what is wrong with them; None if nothing is."""
        ordered = self.offsets[0] == 0 and (self.offsets[1:] >= self.offsets[:-1]).all()
        if not ordered:
            return "offsets that do not grow"
        try:
            for index in range(len(self)):
                if (raw := self.raw(index)) != NULL:
                    raw.decode()
        except UnicodeDecodeError:
            return "strings that are not UTF-8"
        return None


class PackedIds(PackedStrings):
    """N different ids, found without a table of Python objects."""

    def __init__(self, text: np.ndarray, offsets: np.ndarray, hashes: np.ndarray, order: np.ndarray):
        super().__init__(text, offsets)
        self.hashes = hashes
        """uint32 ``[N]``, sorted."""
        self.order = order
        """int32 ``[N]``: the item of each hash."""

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """Return the index of each id; None for an id that is not in the catalogue."""
        wanted = [name.encode("utf-8", "surrogatepass") for name in ids]
        # Use the table's type, or numpy would first convert the whole table.
        hashes = np.fromiter(map(HASH, wanted), dtype=self.hashes.dtype, count=len(wanted))
        starts = self.hashes.searchsorted(hashes, "left").tolist()
        stops = self.hashes.searchsorted(hashes, "right").tolist()
        return [self._among(*place) for place in zip(wanted, starts, stops, strict=True)]

    def _among(self, wanted: bytes, start: int, stop: int) -> int | None:
        places = (index for index in self.order[start:stop].tolist() if 0 <= index < len(self))
        return next((index for index in places if self.raw(index) == wanted), None)

    def problem(self) -> str | None:
        """Check as :class:`PackedStrings` does, and that every id is found at its index, so that it is unique."""
        if not (self.hashes[1:] >= self.hashes[:-1]).all():
            return "hashes that are not sorted"
        if not is_order(self.order):
            return "an order that does not name every item once"
        if problem := super().problem():
            return problem
        for start in range(0, len(self), FOUND_AT_ONCE):
            part = range(start, min(start + FOUND_AT_ONCE, len(self)))
            ids = [self[index] for index in part]
            if None in ids or self.find(ids) != list(part):
                return "an id that is null, stands twice or is not found by its hash"
        return None


def is_order(order: np.ndarray) -> bool:
    """Return whether the integers ``order [N]`` are a permutation of 0 to N - 1."""
    if order.min() < 0 or order.max() >= len(order):
        return False
    named = np.zeros(len(order), dtype=bool)
    named[order] = True
    return bool(named.all())


def write_strings(folder: Path, name: str, strings: Iterable[str | None]) -> PackedStrings:
    """Write strings to the files of :func:`string_files`; return them."""
    text, ends = bytearray(), array("q", [0])
    for string in strings:
        text += NULL if string is None else string.encode()
        ends.append(len(text))
    packed = PackedStrings(np.frombuffer(text, dtype=np.uint8), np.frombuffer(ends, dtype=np.int64))
    _save(folder, dict(zip(string_files(name), (packed.text, packed.offsets), strict=True)))
    return packed


def write_ids(folder: Path, name: str, ids: Iterable[str | None]) -> None:
    """Write distinct ids to the files of :func:`id_files`.

    Raises:
        DataError: if an id occurs twice.
        BundleError: if an id is null, which happens only in a damaged catalogue.
    """
    unsorted = array("L")
    strings = write_strings(folder, name, _hashed(ids, unsorted))
    hashes = np.array(unsorted, dtype="<u4")
    order = np.argsort(hashes, kind="stable").astype("<i4")
    hashes = hashes[order]
    _require_different(strings, hashes, order)
    _save(folder, dict(zip(id_files(name)[2:], (hashes, order), strict=True)))


def read_strings(folder: Path, name: str, n_items: int) -> PackedStrings:
    """Map the files of :func:`write_strings`; raise :class:`BundleError` if they do not hold ``n_items`` strings."""
    files = [folder / file for file in string_files(name)]
    text, offsets = read_array(files[0], np.uint8, mapped=True), read_array(files[1], np.int64, mapped=True)
    if offsets.shape != (n_items + 1,):
        raise BundleError(f"{folder / string_files(name)[1]} does not fit the {n_items} items: export again.")
    if text.shape != (offsets[-1],):
        raise BundleError(f"{folder / string_files(name)[0]} is not as long as its offsets say: export again.")
    return PackedStrings(text, offsets)


def read_ids(folder: Path, name: str, n_items: int) -> PackedIds:
    """Map the files of :func:`write_ids`; raise :class:`BundleError` if they do not hold ``n_items`` ids."""
    strings = read_strings(folder, name, n_items)
    files = [folder / file for file in id_files(name)[2:]]
    hashes, order = read_array(files[0], np.uint32, mapped=True), read_array(files[1], np.int32, mapped=True)
    if not hashes.shape == order.shape == (n_items,):
        raise BundleError(f"{folder / id_files(name)[2]} does not fit the {n_items} items: export again.")
    return PackedIds(strings.text, strings.offsets, hashes, order)


def _hashed(ids: Iterable[str | None], hashes: array[int]) -> Iterator[str]:
    """Yield the ids unchanged, and append their hashes to ``hashes``."""
    for index, name in enumerate(ids):
        if name is None:  # in a damaged catalogue, which is mapped unread
            raise BundleError(f"Item {index} of the catalogue has no id: copy or export the bundle again.")
        hashes.append(HASH(name.encode()))
        yield name


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    for file, values in arrays.items():
        np.save(folder / file, values, allow_pickle=False)


def _require_different(strings: PackedStrings, hashes: np.ndarray, order: np.ndarray) -> None:
    """Raise an error if two ids are equal; only ids with equal hashes are compared."""
    same = np.flatnonzero(hashes[1:] == hashes[:-1])
    found = set()
    for index in order[np.union1d(same, same + 1)].tolist():
        if (raw := strings.raw(index)) in found:
            raise DataError(f"Item {raw.decode()!r} stands in the catalogue twice: leave one out.")
        found.add(raw)
