"""Load a bundle: check its files, read its catalogue, open a model, and load it again in another process."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightrec.bundle import (
    MANIFEST,
    PACKED_ITEMS,
    PACKED_TITLES,
    SMALL_FILES,
    Catalogue,
    Manifest,
    ModelRecord,
    read_catalogue,
    read_manifest,
    verify_hashes,
)
from lightrec.errors import BundleError, ConfigError
from lightrec.files.atomic import restore, sha256_file
from lightrec.runtime.arguments import shown
from lightrec.runtime.backends.base import Backend
from lightrec.runtime.backends.parts import identities
from lightrec.runtime.backends.registry import choose_model, meant_backend, open_backend
from lightrec.runtime.ranker import Ranker

MAX_BYTES_CHECKED = 2 * 2**20
"""Mapped files of at most this many bytes in total are checked at every load: SHA-256 takes 0.5 to 2 ms per MiB."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The path of a bundle and the options it was loaded with: enough to load it again in another process."""

    path: Path
    """The bundle's folder, absolute."""
    manifest_sha256: str
    """SHA-256 of its manifest, which holds the SHA-256 of every other file."""
    options: dict[str, Any]
    """The options of :func:`load_bundle`, including the backend and precision that were chosen."""


class LoadedBundle:
    """A loaded bundle, which a recommender shares with its copies and sessions."""

    def __init__(self, manifest: Manifest, catalogue: Catalogue, backend: Backend, source: Source | None = None):
        self.manifest = manifest
        """The bundle's manifest."""
        self.catalogue = catalogue
        """The bundle's items."""
        self.source = source
        """The path and options it was loaded from; None if it was assembled in memory."""
        self.ranker = Ranker(manifest, catalogue.popularity, backend, functools.partial(_reopen_model, source))
        """The ranker that runs the bundle's model."""

    def __reduce__(self) -> Any:
        """Pickle the path and the options; unpickling loads the same bundle from that path."""
        if self.source is None:
            raise BundleError("This recommender was not loaded from a folder, and cannot be pickled.")
        return _load_again, (self.source,)

    def __copy__(self) -> LoadedBundle:
        """Return the same bundle: it never changes."""
        return self

    def __deepcopy__(self, memo: Any) -> LoadedBundle:
        """Return the same bundle: it never changes."""
        return self


def load_bundle(
    path: str | os.PathLike[str],
    backend: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    verify: bool | None = None,
    *,
    device: str | None = None,
    compute: str | None = None,
    providers: Sequence[str] | None = None,
    cache: bool = True,
) -> LoadedBundle:
    """Load a bundle; see :meth:`lightrec.Recommender.load` for the arguments and errors."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise ConfigError(f"bundle is {shown(path)}: give the path of a folder.")
    path = Path(path)
    restore(path)
    known = identities([path / MANIFEST])
    manifest = read_manifest(path)
    record = choose_model(path, manifest, meant_backend(backend, device, compute, providers), precision)
    verify_hashes(path, only=_files_to_check(manifest, record, verify))
    options: dict[str, Any] = {"device": device, "compute": compute, "providers": providers, "cache": cache}
    catalogue = read_catalogue(path, manifest)
    model = open_backend(path, manifest, threads=threads, record=record, **options)
    # Otherwise the items of one bundle could be combined with the model of another.
    if identities(known) != known:
        raise BundleError(f"The bundle {path} was replaced while it was being loaded: load it again.")
    options |= {"backend": record.backend, "precision": record.precision, "threads": threads, "verify": verify}
    source = Source(path.absolute(), sha256_file(path / MANIFEST), options)
    return LoadedBundle(manifest, catalogue, model, source)


def _files_to_check(manifest: Manifest, record: ModelRecord, verify: bool | None) -> Iterable[str] | None:
    """Return the files whose SHA-256 is compared while a model is loaded; None for every file of the bundle."""
    mapped = {*record.files, *record.parts.values(), *PACKED_ITEMS, *PACKED_TITLES} & set(manifest.files)
    small = sum(manifest.files[name].bytes for name in mapped) <= MAX_BYTES_CHECKED
    if verify is None:
        return {*SMALL_FILES, *mapped} if small else SMALL_FILES
    return None if verify else SMALL_FILES


def _load_again(source: Source) -> LoadedBundle:
    """Load the same bundle in another process.

    Raises:
        BundleError: if the bundle is gone, or another bundle is at its path.
    """
    manifest = source.path / MANIFEST
    if not manifest.is_file():
        raise BundleError(f"{source.path} holds no bundle here, though this recommender came from it: copy it there.")
    if sha256_file(manifest) != source.manifest_sha256:
        raise BundleError(f"{source.path} holds another bundle than this recommender was loaded from: load it again.")
    return load_bundle(source.path, **source.options)


def _reopen_model(source: Source | None) -> Backend:
    """Open the model again in a process that was forked after its runtime had started threads."""
    if source is None:
        raise BundleError("This recommender cannot be used in a forked process: load the bundle there.")
    return _load_again(source).ranker.backend
