"""Transfer one file over HTTP: resume it where it was interrupted, and never combine two versions of it.

The version that the server sends (ETag, date and length) is stored next to the part that has arrived. A transfer is
resumed only if the server still has that version (``If-Range``).
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from lightrec.errors import DownloadError

TIMEOUT = 5.0
"""Seconds without a response, or without a byte, after which a connection is abandoned."""
BLOCK = 1 << 18

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the bytes expected, None if unknown."""


@dataclasses.dataclass(frozen=True)
class Version:
    """The version of a file that a server sends, as far as the server reports it."""

    etag: str | None = None
    modified: str | None = None
    length: int | None = None
    """Bytes of the whole file."""

    @property
    def condition(self) -> str | None:
        """Return the value for ``If-Range``: a strong ETag, or else the date; None if the server sent neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def check_url(url: str) -> None:
    """Refuse a URL that is not on the web.

    Raises:
        DownloadError: if the URL is neither http nor https.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url} cannot be fetched: only http and https addresses can.")


def file_name(url: str) -> str:
    """Return the file's name: the last part of the URL, without the query."""
    return PurePosixPath(urllib.parse.urlsplit(url).path).name or "file"


def fetch(url: str, part: Path, progress: Progress | None = None, *, checked: bool) -> bool:
    """Complete the file ``part``; connect again as long as each connection transfers some bytes.

    Args:
        url: http or https.
        part: the part that has arrived before, if any.
        progress: called after every block.
        checked: whether the caller knows the file's hash. If not, a part is resumed only if the server confirms that
            it belongs to the same version, and otherwise fetched again.

    Returns:
        Whether the file was combined from several connections.

    Raises:
        DownloadError: if the host cannot be reached, refuses, or sends something other than the file.
    """
    joined = False
    while True:
        before = _size(part)
        reason: object = "the connection was closed"
        try:
            resumed, whole = _transfer(url, part, progress, checked)
            joined |= resumed
            if whole:
                return joined
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url} cannot be fetched: the server answers {error.code} {error.reason}.") from None
        except urllib.error.URLError as error:
            reason = error.reason
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a wrong proxy address
            reason = error
        if _size(part) <= before:
            by_hand = f", or put the file at {part.with_suffix('')} yourself" if checked else ""
            raise DownloadError(
                f"{url} cannot be reached ({reason}; {_size(part):,} bytes are there): check the network and run the "
                f"same command again{by_hand}."
            )


def forget(part: Path) -> None:
    """Delete the part that has arrived and its version."""
    part.unlink(missing_ok=True)  # first: a part without its version is never resumed unchecked
    _version_file(part).unlink(missing_ok=True)


def version_of(part: Path) -> Version:
    """Return the version that a part belongs to, as far as the server reported it."""
    try:
        return Version(**json.loads(_version_file(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Version()


def _transfer(url: str, part: Path, progress: Progress | None, checked: bool) -> tuple[bool, bool]:
    """Transfer over one connection; return whether it resumed, and whether the file is now complete."""
    done, version = _size(part), version_of(part)
    if done and not (checked or version.condition):
        forget(part)
        done = 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    if done and version.condition:
        headers["If-Range"] = version.condition
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not done:
            raise
        if (error.headers.get("Content-Range") or "").endswith(f"/{done}"):
            return True, True
        forget(part)  # the part is longer than the server's file: it is another version
        return _transfer(url, part, progress, checked)
    with response:
        _check_content(url, response.headers)
        resumes = response.status == 206
        if resumes and not _continues(response.headers, done, version):
            if not done:
                raise DownloadError(f"{url} cannot be fetched: the server sends a part that was not asked for.")
            forget(part)
            return _transfer(url, part, progress, checked)
        if not resumes:
            forget(part)
            done = 0
            _note_version(part, response.headers)
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        return resumes, _copy(response, part, done, total, progress)


def _check_content(url: str, headers: Message) -> None:
    """Refuse an HTML page instead of a file, as proxies and login pages send, and a file compressed in transit."""
    if headers.get_content_type() in ("text/html", "application/xhtml+xml") and ".htm" not in file_name(url):
        raise DownloadError(
            f"{url} answers with a web page instead of the file: a proxy or a login page may be in between."
        )
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DownloadError(f"{url} cannot be fetched: it comes as {headers['Content-Encoding']}, not as it is.")


def _continues(headers: Message, done: int, version: Version) -> bool:
    """Return whether the server's part begins where the local part ends, and belongs to the same version."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != done:
        return False
    sent = Version(headers.get("ETag"), headers.get("Last-Modified"), None if found[2] == "*" else int(found[2]))
    pairs = zip(dataclasses.astuple(version), dataclasses.astuple(sent), strict=True)
    return all(own is None or other is None or own == other for own, other in pairs)


def _note_version(part: Path, headers: Message) -> None:
    """Store the part's version before the first byte arrives."""
    length = headers.get("Content-Length")
    version = Version(headers.get("ETag"), headers.get("Last-Modified"), int(length) if length else None)
    try:
        _version_file(part).write_text(json.dumps(dataclasses.asdict(version)), encoding="utf-8")
    except OSError as error:
        raise _cannot_write(part, error) from None


def _copy(source: http.client.HTTPResponse, part: Path, done: int, total: int | None, report: Progress | None) -> bool:
    """Append what the server sends; return whether all announced bytes have arrived."""
    try:
        file = part.open("ab", buffering=0)
    except OSError as error:
        raise _cannot_write(part, error) from None
    with file:
        while block := source.read1(BLOCK):
            try:
                _write(file, block)
            except OSError as error:
                raise _cannot_write(part, error) from None
            done += len(block)
            if report:
                report(done, total)
    return total is None or done == total


def _write(file: IO[bytes] | BinaryIO, block: bytes) -> None:
    """Write all of a block: a single call may write less when the disk is nearly full."""
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _cannot_write(part: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"{part} cannot be written ({error.strerror}): free some space, or name another folder in LIGHTREC_CACHE."
    )


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows at most ten redirections, and none from https to http."""

    def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any, url: str) -> Any:
        if urllib.parse.urlsplit(request.full_url).scheme == "https" and not url.lower().startswith("https:"):
            raise DownloadError(f"{request.full_url} cannot be fetched: it leads to {url}, which is not encrypted.")
        check_url(url)
        return super().redirect_request(request, file, code, message, headers, url)
