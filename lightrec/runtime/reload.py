"""Load a recommender again in another process, which a loaded model cannot be handed to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightrec.bundle import MANIFEST
from lightrec.errors import BundleError
from lightrec.files.atomic import sha256_file

if TYPE_CHECKING:
    from lightrec.runtime.recommender import Recommender


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a recommender was loaded from, and how; enough to load it again in another process."""

    path: Path
    """The bundle's folder, absolute."""
    manifest_sha256: str
    """SHA-256 of its manifest, which names that of every other file."""
    options: dict[str, Any]
    """Those of :meth:`Recommender.load`, with the model that was chosen."""


def reload(source: Source, block: Iterable[str]) -> Recommender:
    """Load the same bundle again, in another process.

    Raises:
        BundleError: if it is no longer there, or another one is.
    """
    manifest = source.path / MANIFEST
    if not manifest.is_file():
        raise BundleError(f"{source.path} holds no bundle here, though this recommender came from it: copy it there.")
    if sha256_file(manifest) != source.manifest_sha256:
        raise BundleError(f"{source.path} holds another bundle than this recommender was loaded from: load it again.")
    from lightrec.runtime.recommender import Recommender

    return Recommender.load(source.path, **source.options, block=block)
