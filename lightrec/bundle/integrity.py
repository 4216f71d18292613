"""Check the files of a bundle: their SHA-256, and the size of those that a device needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lightrec.bundle.manifest import MANIFEST, OPTIONAL_FILES, FileRecord, Manifest, read_manifest
from lightrec.errors import BundleIntegrityError
from lightrec.files.atomic import sha256_file


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


def deployed_bytes(path: str | Path) -> int:
    """Return the size in bytes of all files that a device needs: all but :data:`OPTIONAL_FILES`.

    Raises:
        BundleIntegrityError: if one of these files is missing.
    """
    names = [name for name in read_manifest(path).files if name not in OPTIONAL_FILES]
    missing = [name for name in names if not (Path(path) / name).is_file()]
    if missing:
        raise BundleIntegrityError(f"The bundle {path} lacks {', '.join(missing)}: copy or export it again.")
    return sum((Path(path) / name).stat().st_size for name in (MANIFEST, *names))
