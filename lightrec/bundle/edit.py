"""Copy a bundle, or write a copy with other titles."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from lightrec.bundle.catalogue import Catalogue, read_catalogue, write_catalogue
from lightrec.bundle.integrity import verify_hashes
from lightrec.bundle.manifest import (
    FORMAT_VERSION,
    ITEMS,
    MANIFEST,
    PACKED_ITEMS,
    TITLE_FILES,
    Manifest,
    read_manifest,
    write_manifest,
)
from lightrec.errors import BundleError, BundleIntegrityError, DataError
from lightrec.files.atomic import new_folder


def copy_bundle(source: str | Path, target: str | Path) -> Manifest:
    """Copy a bundle and check every hash; ``target`` appears whole or not at all.

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
        BundleError: if ``source`` is damaged, or ``target`` exists and is not a bundle.
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
            if name not in (ITEMS, *PACKED_ITEMS, *TITLE_FILES) and (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        packed = PACKED_ITEMS[0] in manifest.files
        write_catalogue(folder, Catalogue(catalogue.item_ids, catalogue.popularity, changed), packed)
        manifest = write_manifest(folder, dataclasses.replace(manifest, format_version=FORMAT_VERSION))
    return manifest
