"""A bundle: the folder that holds an exported student with all it needs to recommend.

docs/format.md describes the format for other languages. A bundle carries no real user's history.

    manifest.json     what the bundle is, and the SHA-256 of every other file
    model.onnx        and/or model.xml with model.bin: the inference graph
    items.json.gz     list of item ids (strings), by index
    popularity.npy    int32 [N], item indices, most popular first
    golden.json       synthetic histories with the answers that every runtime must give
    titles.json.gz    list of strings or null, by index; may be left out, also when deploying
    text_projection.safetensors    from texts to item vectors, for new items; likewise
    precision.json    what --precision auto chose from, and why; likewise
    step.onnx, score.onnx, candidates.onnx    for sessions and for few candidates; likewise

Large catalogues have ids and titles in files that are mapped instead: :mod:`lightrec.bundle.packed`.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.bundle.golden import GoldenCase, read_golden, write_golden
from lightrec.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    ITEMS,
    MANIFEST,
    OLD_ITEMS,
    OLD_TITLES,
    OPTIONAL_FILES,
    PACKED_ITEMS,
    PACKED_TITLES,
    PARTS,
    POPULARITY,
    PRECISION_REPORT,
    SMALL_FILES,
    TEXT_PROJECTION,
    TITLE_FILES,
    TITLES,
    FileRecord,
    Manifest,
    ModelRecord,
    read_manifest,
    write_manifest,
)
from lightrec.bundle.packed import PackedIds, is_order, read_ids, read_strings, write_ids, write_strings
from lightrec.errors import BundleError, BundleIntegrityError, DataError
from lightrec.files.atomic import new_folder, sha256_file
from lightrec.files.untrusted import list_limit, parse_json, read_array, read_bytes

__all__ = [
    "FORMAT_VERSION",
    "GOLDEN",
    "ITEMS",
    "LARGE_CATALOGUE",
    "MANIFEST",
    "OLD_ITEMS",
    "OLD_TITLES",
    "OPTIONAL_FILES",
    "PACKED_ITEMS",
    "PACKED_TITLES",
    "PARTS",
    "POPULARITY",
    "PRECISION_REPORT",
    "SMALL_FILES",
    "TEXT_PROJECTION",
    "TITLES",
    "TITLE_FILES",
    "Catalogue",
    "FileRecord",
    "GoldenCase",
    "Manifest",
    "ModelRecord",
    "copy_bundle",
    "deployed_bytes",
    "events_by_rank",
    "read_catalogue",
    "read_golden",
    "read_manifest",
    "retitle_bundle",
    "summarise_events",
    "verify_hashes",
    "write_catalogue",
    "write_golden",
    "write_manifest",
]

LARGE_CATALOGUE = 200_000
"""From so many items on a catalogue is packed; a smaller one is quickly read, and lightrec.js reads it as well."""


class Catalogue:
    """The items of a bundle."""

    def __init__(
        self,
        item_ids: Sequence[str],
        popularity: np.ndarray,
        titles: Sequence[str | None] | Callable[[], Sequence[str | None]] | None = None,
    ):
        self.item_ids = item_ids
        """The items' own ids, by index."""
        self.popularity = popularity
        """int32 ``[N]``: item indices, most popular first."""
        self._titles = titles

    @functools.cached_property
    def titles(self) -> Sequence[str | None] | None:
        """By index; None if the bundle holds no titles. They are read when they are first asked for."""
        return self._titles() if callable(self._titles) else self._titles

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """The index of every id; a packed catalogue never makes it."""
        return {item: index for index, item in enumerate(self.item_ids)}

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """The index of each id; None for those that are not in the catalogue."""
        return self.item_ids.find(ids) if isinstance(self.item_ids, PackedIds) else list(map(self.index.get, ids))


def write_catalogue(path: str | Path, catalogue: Catalogue, packed: bool | None = None) -> None:
    """Write ids, popularity and, where there are some, titles.

    Args:
        path: the bundle's folder.
        catalogue: N items.
        packed: whether in the form of large catalogues; if None, from :data:`LARGE_CATALOGUE` items on.

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
    """Read what :func:`write_catalogue` wrote; sizes that do not fit the manifest are a :class:`BundleError`.

    Args:
        path: the bundle.
        manifest: its manifest.
        thorough: also look at all that the mapped files of a large catalogue hold.
    """
    path, n_items = Path(path), manifest.n_items
    packed = PACKED_ITEMS[0] in manifest.files
    # First, for its size says that there are so many items indeed, on which other limits depend.
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
    items, titles = OLD_ITEMS if OLD_ITEMS in manifest.files else ITEMS, None
    ids = _strings(_content(path, items, manifest), path / items, manifest.n_items)
    name = OLD_TITLES if OLD_TITLES in manifest.files else TITLES
    if name in manifest.files and (path / name).exists():
        # The bytes now, the titles when they are asked for: by then another bundle may lie there.
        content = _content(path, name, manifest)
        titles = functools.partial(_strings, content, path / name, manifest.n_items, nulls=True)
    catalogue = Catalogue(ids, popularity, titles)
    if len(catalogue.index) != manifest.n_items:
        raise BundleError(f"{path / items} holds an id twice or one that is not a string: export again.")
    if thorough:
        _ = catalogue.titles
    return catalogue


def _content(path: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of a list; that they are as many as recorded is checked with their SHA-256."""
    return read_bytes(path / name, limit=list_limit(manifest.n_items))


def summarise_events(counts: np.ndarray) -> dict[str, int] | None:
    """The popularity of N items in a few numbers, for the manifest: how many events the most popular items share.

    Args:
        counts: ``[N]``, the training events of each item, in any order.

    Returns:
        The events of the r most popular items together, by r: 1, 2, 4 and so on, and how many items have any, which
        together have all. None without an event.

    >>> summarise_events(np.array([0, 5, 1, 3]))
    {'1': 5, '2': 8, '3': 9}
    """
    ordered = np.sort(counts)[::-1]
    chosen = int((ordered > 0).sum())
    if not chosen:
        return None
    together = np.cumsum(ordered)
    ranks = [*(2**power for power in range((chosen - 1).bit_length())), chosen]
    return {str(rank): round(float(together[rank - 1])) for rank in ranks}


def events_by_rank(manifest: Manifest) -> np.ndarray | None:
    """float64 ``[N]``: about how many training events each item has, the most popular first; the last may have none.

    Between two ranks that the manifest tells, items share their events evenly. None if it tells nothing.

    Raises:
        BundleError: if ``item_events`` is not what :func:`summarise_events` makes of N items.
    """
    if manifest.item_events is None:
        return None
    try:
        told = sorted((int(rank), int(together)) for rank, together in manifest.item_events.items())
        points = np.array([(0, 0), *told], dtype=np.float64)
    except (AttributeError, TypeError, ValueError, OverflowError):
        points = np.zeros((1, 2))
    ranks, together = points.T
    rising = len(points) > 1 and (np.diff(ranks) > 0).all() and (np.diff(together) >= 0).all() and together[-1] > 0
    if not rising or ranks[-1] > manifest.n_items:
        raise BundleError(
            f"The manifest's item_events do not tell how many events the most popular of {manifest.n_items} items "
            "share: export again."
        )
    return np.diff(np.interp(np.arange(manifest.n_items + 1), ranks, together))


def verify_hashes(path: str | Path, only: Iterable[str] | None = None) -> Manifest:
    """Compare the files of a bundle with the SHA-256 in its manifest; :data:`OPTIONAL_FILES` may be absent.

    Args:
        path: the bundle.
        only: names of the files to check; all of them if None.

    Raises:
        BundleIntegrityError: naming every file that is missing or differs.
    """
    manifest = read_manifest(path)
    chosen = set(manifest.files if only is None else only)
    wrong = []
    for name, record in manifest.files.items():
        file = Path(path) / name
        if name not in chosen or (name in OPTIONAL_FILES and not file.exists()):
            continue
        if not file.is_file():
            wrong.append(f"{name} is missing")
        elif not _is_as_recorded(file, record):
            wrong.append(f"{name} differs from its SHA-256")
    if wrong:
        raise BundleIntegrityError(f"The bundle {path} is damaged ({', '.join(wrong)}): copy or export it again.")
    return manifest


def _is_as_recorded(file: Path, record: FileRecord) -> bool:
    try:
        return file.stat().st_size == record.bytes and sha256_file(file) == record.sha256
    except OSError as error:
        raise BundleIntegrityError(
            f"{file} cannot be read ({error.strerror}): copy or export the bundle again."
        ) from None


def copy_bundle(source: str | Path, target: str | Path) -> Manifest:
    """Copy a bundle, checking every hash on the way; ``target`` appears whole or not at all.

    Raises:
        BundleIntegrityError: if a file of ``source`` is missing or differs; nothing is left at ``target``.
        BundleError: if ``target`` exists and is not a bundle, or is ``source``.
    """
    source, target = Path(source), Path(target)
    if target.exists() and (not (target / MANIFEST).is_file() or target.samefile(source)):
        raise BundleError(f"{target} exists and is not another bundle: choose a new folder to copy {source} to.")
    manifest = read_manifest(source)
    with new_folder(target) as folder:
        for name in (MANIFEST, *manifest.files):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        try:
            verify_hashes(folder)
        except BundleIntegrityError:
            verify_hashes(source)
            raise
    return manifest


def retitle_bundle(source: str | Path, target: str | Path, titles: Mapping[str, str | None]) -> Manifest:
    """Write a copy of a bundle with other titles for some items; ``target`` appears whole or not at all.

    Args:
        source: a bundle.
        target: where to write; a bundle already there, ``source`` itself included, is replaced at the end.
        titles: the new title by item id, None for no title.

    Raises:
        BundleError: if ``source`` is damaged, or ``target`` is something else than a bundle.
        DataError: if an id is not in the bundle.
    """
    source, target = Path(source), Path(target)
    if target.exists() and not (target / MANIFEST).is_file():
        raise BundleError(f"{target} exists and is not a bundle: choose a new folder.")
    manifest = verify_hashes(source)
    catalogue = read_catalogue(source, manifest)
    places = dict(zip(titles, catalogue.find(list(titles)), strict=True))
    unknown = [item for item, place in places.items() if place is None]
    if unknown:
        raise DataError(f"{source} holds no item {unknown[0]!r} ({len(unknown)} such): leave out what is not there.")
    changed: list[str | None] = list(catalogue.titles or [None] * manifest.n_items)
    for item, place in places.items():
        changed[place] = titles[item]  # type: ignore[index]
    with new_folder(target) as folder:
        for name in manifest.files:
            if name not in (ITEMS, OLD_ITEMS, *PACKED_ITEMS, *TITLE_FILES) and (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        packed = PACKED_ITEMS[0] in manifest.files
        write_catalogue(folder, Catalogue(catalogue.item_ids, catalogue.popularity, changed), packed)
        manifest = write_manifest(folder, dataclasses.replace(manifest, format_version=FORMAT_VERSION))
    return manifest


def deployed_bytes(path: str | Path) -> int:
    """Size of all that a device needs: the manifest and every file but :data:`OPTIONAL_FILES`.

    Raises:
        BundleIntegrityError: if one of these files is missing.
    """
    names = [name for name in read_manifest(path).files if name not in OPTIONAL_FILES]
    missing = [name for name in names if not (Path(path) / name).is_file()]
    if missing:
        raise BundleIntegrityError(f"The bundle {path} lacks {', '.join(missing)}: copy or export it again.")
    return sum((Path(path) / name).stat().st_size for name in (MANIFEST, *names))


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
