"""A prepared data set on disk: sequences of item indices that open with numpy alone.

Layout of the folder (format version 1)::

    dataset.json      description: counts, options, what was dropped, SHA-256 of each file, one checksum over all
    user_ids.json     list of strings, one per user
    item_ids.json     list of strings, one per item; an item's index is its place here
    item_texts.json   list of strings or null, one per item
    offsets.npy       int64 [users + 1]: user u's events are items[offsets[u]:offsets[u + 1]]
    items.npy         int32 [events]: item indices, oldest first
    timestamps.npy    int64 [events]: seconds since 1970, or positions where order_only is true
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.errors import DataError
from lightrec.files import new_folder, read_json, sha256_file, write_json

FORMAT_VERSION = 1
DESCRIPTION = "dataset.json"
ARRAYS = ("offsets", "items", "timestamps")
LISTS = ("user_ids", "item_ids", "item_texts")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Users' item sequences with times and texts; build one with :meth:`open` or :func:`write_dataset`."""

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

        Raises:
            DataError: if the folder is not a prepared data set, or was written by a newer version.
        """
        path = Path(path)
        if not (path / DESCRIPTION).is_file():
            raise DataError(
                f"{path} is not a prepared data set (it holds no {DESCRIPTION}): "
                f"make one with  lightrec data prepare INTERACTIONS --out {path}"
            )
        description = read_json(path / DESCRIPTION)
        if description["format_version"] > FORMAT_VERSION:
            raise DataError(
                f"{path} has format version {description['format_version']}, this lightrec reads up to "
                f"{FORMAT_VERSION}: upgrade lightrec or prepare the data again."
            )
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
        return cls(path=path, description=description, **arrays)

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.description["name"]

    @property
    def checksum(self) -> str:
        """SHA-256 over the checksums of all files: equal if and only if the content is equal."""
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
        """The users' own ids."""
        return read_json(self.path / "user_ids.json")

    @cached_property
    def item_ids(self) -> list[str]:
        """The items' own ids, by index."""
        return read_json(self.path / "item_ids.json")

    @cached_property
    def item_texts(self) -> list[str | None]:
        """The items' texts (title and further columns joined), by index; None where there is none."""
        return read_json(self.path / "item_texts.json")

    def sequence(self, user: int) -> np.ndarray:
        """User ``user``'s item indices, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]


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
    details: dict[str, Any] | None = None,
) -> Dataset:
    """Write a prepared data set as a whole (beside, then renamed) and open it; see the module for the layout.

    ``details`` are further keys of dataset.json: the options of the preparation, what was dropped and why.
    """
    path = Path(path)
    if path.exists() and not (path / DESCRIPTION).is_file() and any(path.iterdir()):
        raise DataError(f"{path} exists and is not a prepared data set: choose another folder for --out.")
    arrays = {
        "offsets": np.asarray(offsets, dtype=np.int64),
        "items": np.asarray(items, dtype=np.int32),
        "timestamps": np.asarray(timestamps, dtype=np.int64),
    }
    lists = {"user_ids": user_ids, "item_ids": item_ids, "item_texts": item_texts}
    with new_folder(path) as folder:
        for key, array in arrays.items():
            np.save(folder / f"{key}.npy", array, allow_pickle=False)
        for key, values in lists.items():
            write_json(folder / f"{key}.json", list(values))
        files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
        write_json(
            folder / DESCRIPTION,
            {
                "format_version": FORMAT_VERSION,
                "name": name,
                "users": len(user_ids),
                "items": len(item_ids),
                "interactions": len(items),
                "order_only": order_only,
                **(details or {}),
                "files": files,
                "checksum": hashlib.sha256("".join(files.values()).encode()).hexdigest(),
            },
        )
    return Dataset.open(path)
