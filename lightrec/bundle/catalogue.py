"""The catalogue of a bundle: the ids, titles and popularity of its items."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle.manifest import (
    ITEMS,
    LARGE_CATALOGUE,
    PACKED_ITEMS,
    PACKED_TITLES,
    POPULARITY,
    TITLES,
    Manifest,
)
from lightrec.bundle.packed import PackedIds, is_order, read_ids, read_strings, write_ids, write_strings
from lightrec.errors import BundleError
from lightrec.files.untrusted import list_limit, parse_json, read_array, read_bytes


class Catalogue:
    """The items of a bundle."""

    def __init__(
        self,
        item_ids: Sequence[str],
        popularity: np.ndarray,
        titles: Sequence[str | None] | Callable[[], Sequence[str | None]] | None = None,
    ):
        self.item_ids = item_ids
        """The item ids, by index."""
        self.popularity = popularity
        """int32 ``[N]``: item indices, most popular first."""
        self._titles = titles

    @functools.cached_property
    def titles(self) -> Sequence[str | None] | None:
        """The titles, by index, read when first used; None if the bundle holds none."""
        return self._titles() if callable(self._titles) else self._titles

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """The index of every id; a packed catalogue never builds this mapping."""
        return {item: index for index, item in enumerate(self.item_ids)}

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """Return the index of each id; None for an id that is not in the catalogue."""
        return self.item_ids.find(ids) if isinstance(self.item_ids, PackedIds) else list(map(self.index.get, ids))


def write_catalogue(path: str | Path, catalogue: Catalogue, packed: bool | None = None) -> None:
    """Write ids, popularity and, if there are any, titles.

    Args:
        path: the bundle's folder.
        catalogue: N items.
        packed: whether to use the files of large catalogues; if None, with at least :data:`LARGE_CATALOGUE` items.

    Raises:
        DataError: if a packed catalogue holds an id twice.
    """
    path, ids, titles = Path(path), catalogue.item_ids, catalogue.titles
    np.save(path / POPULARITY, np.asarray(catalogue.popularity, dtype="<i4"), allow_pickle=False)
    if len(ids) >= LARGE_CATALOGUE if packed is None else packed:
        write_ids(path, "items", ids)
        if titles is not None:
            write_strings(path, "titles", titles)
        return
    _write_list(path / ITEMS, ids)
    if titles is not None:
        _write_list(path / TITLES, titles)


def read_catalogue(path: str | Path, manifest: Manifest, thorough: bool = False) -> Catalogue:
    """Read a catalogue from a bundle; raise :class:`BundleError` if its sizes do not fit the manifest.

    Args:
        path: the bundle.
        manifest: its manifest.
        thorough: whether to check the whole content of a large catalogue's mapped files too.
    """
    path, n_items = Path(path), manifest.n_items
    packed = PACKED_ITEMS[0] in manifest.files
    # Read this first: its size proves the number of items, on which other limits depend.
    popularity = read_array(path / POPULARITY, np.int32, mapped=packed)
    if popularity.shape != (n_items,) or not ((packed and not thorough) or is_order(popularity)):
        raise BundleError(f"{path / POPULARITY} does not order the {n_items} items of the manifest: export again.")
    return (_packed_catalogue if packed else _listed_catalogue)(path, manifest, popularity, thorough)


def _packed_catalogue(path: Path, manifest: Manifest, popularity: np.ndarray, thorough: bool) -> Catalogue:
    ids, titles = read_ids(path, "items", manifest.n_items), None
    if all(name in manifest.files and (path / name).exists() for name in PACKED_TITLES):
        titles = read_strings(path, "titles", manifest.n_items)
    for name, strings in {"items": ids, "titles": titles}.items():
        if thorough and strings is not None and (problem := strings.problem()):
            raise BundleError(f"The {name} of {path} have {problem}: export again.")
    return Catalogue(ids, popularity, titles)


def _listed_catalogue(path: Path, manifest: Manifest, popularity: np.ndarray, thorough: bool) -> Catalogue:
    titles = None
    ids = _strings(_content(path, ITEMS, manifest), path / ITEMS, manifest.n_items)
    if TITLES in manifest.files and (path / TITLES).exists():
        # Read the bytes now and decode them on first use: by then the folder may hold another bundle.
        content = _content(path, TITLES, manifest)
        titles = functools.partial(_strings, content, path / TITLES, manifest.n_items, nulls=True)
    catalogue = Catalogue(ids, popularity, titles)
    if len(catalogue.index) != manifest.n_items:
        raise BundleError(f"{path / ITEMS} holds an id twice or one that is not a string: export again.")
    if thorough:
        _ = catalogue.titles
    return catalogue


def _content(path: Path, name: str, manifest: Manifest) -> bytes:
    """Return the bytes of a list; their number is checked together with their SHA-256."""
    return read_bytes(path / name, limit=list_limit(manifest.n_items))


def _strings(content: bytes, file: Path, n_items: int, nulls: bool = False) -> list[Any]:
    values = parse_json(content, file, limit=list_limit(n_items))
    if not isinstance(values, list) or len(values) != n_items:
        raise BundleError(f"{file} does not list the {n_items} items of the manifest: export again.")
    try:
        "".join([value for value in values if value is not None] if nulls else values).encode()
    except (TypeError, UnicodeEncodeError):
        held = "a title that is no text" if nulls else "an id twice or one that is not a string"
        raise BundleError(f"{file} holds {held}: export again.") from None
    return values


def _write_list(file: Path, values: Sequence[str | None]) -> None:
    content = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    file.write_bytes(gzip.compress(content, mtime=0))  # no date: equal values, equal bytes
