"""A prepared data set on disk: sequences of item indices that open with numpy alone.

Layout of the folder (format version 1)::

    dataset.json      description: counts, options, what was dropped, SHA-256 of each file, one checksum over all
    user_ids.json     list of strings, one per user
    item_ids.json     list of strings, one per item; an item's index is its position here
    item_texts.json   list of strings or null, one per item: what a language model reads (title, year, genres)
    item_titles.json  list of strings or null, one per item: what people read
    offsets.npy       int64 [users + 1]: user u's events are items[offsets[u]:offsets[u + 1]]
    items.npy         int32 [events]: item indices, oldest first
    timestamps.npy    int64 [events]: seconds since 1970, or positions where order_only is true
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.data.dataset_files import (
    ARRAYS,
    DESCRIPTION,
    FORMAT_VERSION,
    OWN_DIGEST,
    changed_files,
    checksum,
    own_digest,
    read_description,
    read_numbers,
    read_texts,
    require_fitting,
    require_unchanged,
)
from lightrec.errors import DataError
from lightrec.files.atomic import new_folder, restore, sha256_file, write_json


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Users' item sequences with times and texts; create one with :meth:`open` or :func:`write_dataset`."""

    path: Path
    """The folder."""
    description: dict[str, Any]
    """The content of dataset.json."""
    offsets: np.ndarray
    """int64 ``[users + 1]``."""
    items: np.ndarray
    """int32 ``[events]``, memory-mapped."""
    timestamps: np.ndarray
    """int64 ``[events]``, memory-mapped; positions where :attr:`order_only` is true."""

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a prepared folder; the arrays are memory-mapped.

        Every file is compared with its SHA-256 in dataset.json, so that no long job starts on damaged data.

        Raises:
            DataError: if the folder is not a prepared data set, was written by a newer version, or is damaged.
        """
        path = Path(path)
        restore(path)
        description = read_description(path)
        require_unchanged(path, description)
        arrays = {name: read_numbers(path, name) for name in ARRAYS}
        require_fitting(path, description, arrays)
        return cls(path=path, description=description, **arrays)

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.description["name"]

    @property
    def checksum(self) -> str:
        """SHA-256 over the checksums of all files and ``order_only``: equal if and only if the content is equal."""
        return self.description["checksum"]

    @property
    def order_only(self) -> bool:
        """Whether the timestamps are positions, so that only the order within a user is known."""
        return self.description["order_only"]

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue, N."""
        return self.description["items"]

    @cached_property
    def user_ids(self) -> list[str]:
        """The users' ids in the source data."""
        return read_texts(self.path, "user_ids", self.description)

    @cached_property
    def item_ids(self) -> list[str]:
        """The items' ids in the source data, by index."""
        return read_texts(self.path, "item_ids", self.description)

    @cached_property
    def item_texts(self) -> list[str | None]:
        """The items' texts (title and further columns joined), by index; None where there is none."""
        return read_texts(self.path, "item_texts", self.description)

    @cached_property
    def item_titles(self) -> list[str | None]:
        """The items' plain titles, by index; None where there is none."""
        return read_texts(self.path, "item_titles", self.description)

    def sequence(self, user: int) -> np.ndarray:
        """Return the item indices of ``user``, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def damaged_files(self) -> list[str]:
        """Return the names of files that are missing or differ from the SHA-256 in dataset.json (reads them all)."""
        return changed_files(self.path, self.description)


def write_dataset(
    path: str | Path,
    *,
    name: str,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    item_texts: Sequence[str | None],
    offsets: np.ndarray,
    items: np.ndarray,
    timestamps: np.ndarray,
    order_only: bool,
    item_titles: Sequence[str | None] | None = None,
    details: dict[str, Any] | None = None,
) -> Dataset:
    """Write a prepared data set atomically (a new folder, then renamed) and open it; the module shows the layout.

    ``item_titles`` are ``item_texts`` if left out. ``details`` are further keys of dataset.json: the options of
    the preparation, what was dropped and why.

    Raises:
        DataError: if the parts do not fit together, or ``path`` holds anything but a prepared data set.
    """
    path = Path(path)
    require_free(path)
    arrays: dict[str, np.ndarray] = {
        "offsets": np.asarray(offsets, dtype=np.int64),
        "items": np.asarray(items, dtype=np.int32),
        "timestamps": np.asarray(timestamps, dtype=np.int64),
    }
    lists: dict[str, list[Any]] = {
        "user_ids": list(user_ids),
        "item_ids": list(item_ids),
        "item_texts": list(item_texts),
        "item_titles": list(item_texts if item_titles is None else item_titles),
    }
    _check_parts(arrays, lists)
    with new_folder(path) as folder:
        for key, array in arrays.items():
            np.save(folder / f"{key}.npy", array, allow_pickle=False)
        for key, values in lists.items():
            write_json(folder / f"{key}.json", values)
        files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
        description = {
            "format_version": FORMAT_VERSION,
            "name": name,
            "users": len(user_ids),
            "items": len(item_ids),
            "interactions": len(items),
            "order_only": order_only,
            **(details or {}),
            "files": files,
            "checksum": checksum(files, order_only),
        }
        write_json(folder / DESCRIPTION, description | {OWN_DIGEST: own_digest(description)})
    return Dataset.open(path)


def require_free(path: Path) -> None:
    """Raise :class:`DataError` if ``path`` holds anything but a prepared data set."""
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file: choose another folder for --out.")
    if path.exists() and not (path / DESCRIPTION).is_file() and any(path.iterdir()):
        raise DataError(f"{path} exists and is not a prepared data set: choose another folder for --out.")


def _check_parts(arrays: dict[str, np.ndarray], lists: dict[str, list[Any]]) -> None:
    """Raise DataError for parts that do not fit together: sizes, order of the offsets, range of the item indices."""
    offsets, items = arrays["offsets"], arrays["items"]
    n_users, n_items = len(lists["user_ids"]), len(lists["item_ids"])
    fits = {
        "offsets must hold one entry per user and one more": len(offsets) == n_users + 1,
        "offsets must rise from 0 to the number of events": len(offsets) > 0
        and offsets[0] == 0
        and offsets[-1] == len(items)
        and bool((np.diff(offsets) >= 0).all()),
        "items must be indices into item_ids": len(items) == 0 or (items.min() >= 0 and items.max() < n_items),
        "timestamps must match items in length": len(arrays["timestamps"]) == len(items),
        "item_texts must match item_ids in length": len(lists["item_texts"]) == n_items,
        "item_titles must match item_ids in length": len(lists["item_titles"]) == n_items,
        "user_ids must differ from each other": len(set(lists["user_ids"])) == n_users,
        "item_ids must differ from each other": len(set(lists["item_ids"])) == n_items,
    }
    mistakes = [rule for rule, holds in fits.items() if not holds]
    if mistakes:
        raise DataError(f"The parts of the data set do not fit together: {'; '.join(mistakes)}.")
