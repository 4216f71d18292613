"""Readable content of a file: decompressed, in UTF-8, without a byte order mark.

Compression, binary formats and encodings are recognised by the bytes, never by the file's name. A plain UTF-8
file is read in place; any other file is copied to a scratch folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lightrec.data.reading.compression import CHUNK, COMPRESSIONS, decompress
from lightrec.data.reading.encodings import binary, find_encoding, write_utf8
from lightrec.errors import DataError

HEAD = 1 << 18
"""Bytes read to recognise separators, headers and shapes."""

COLUMNAR: tuple[tuple[bytes, str], ...] = ((b"PAR1", "parquet"), (b"ARROW1", "arrow"))
REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook: save the sheet as CSV"),
    (b"SQLite format 3", "is an SQLite database: export the table as CSV"),
    (b"\x89HDF", "is an HDF5 file: store the table as Parquet or CSV"),
    (b"Obj\x01", "is an Avro file: store the table as Parquet or CSV"),
    (b"ORC", "is an ORC file: store the table as Parquet or CSV"),
    (b"\x80\x04", "is a Python pickle, which can run code: store the table as Parquet or CSV"),
    (b"\x80\x05", "is a Python pickle, which can run code: store the table as Parquet or CSV"),
    (b"\x93NUMPY", "is a NumPy array: store the table as Parquet or CSV"),
    (b"%PDF", "is a PDF document: give the table as CSV"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it"),
    (b"Rar!", "is a RAR archive: unpack it"),
    (b"<!DOCTYPE", "is a web page, not a table: download the file again"),
    (b"<!doctype", "is a web page, not a table: download the file again"),
    (b"<html", "is a web page, not a table: download the file again"),
    (b"<?xml", "is an XML file: store the table as CSV"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run  git lfs pull"),
)


@dataclasses.dataclass(frozen=True)
class Content:
    """One file, ready to be read."""

    file: str
    """Its name, for messages."""
    path: Path
    """The readable content: the file itself or a copy of it."""
    kind: str
    """"parquet", "arrow" or "text"."""
    head: str = ""
    """The first complete lines of a text."""
    quotes: bool = False
    """Whether a double quote occurs in the text."""
    notes: tuple[str, ...] = ()
    """Notes for the user, each the end of a sentence that starts with the file's name."""


def open_content(path: Path, encoding: str | None, flag: str, new_file: Callable[[], Path]) -> Content:
    """Decompress and decode a file where necessary.

    Args:
        path: an existing file that is not empty.
        encoding: of the text, or None to recognise it.
        flag: the flag that names the encoding, for messages.
        new_file: returns the path of a new file in the scratch folder.

    Raises:
        DataError: if the content is damaged, empty, or of a kind that cannot be read.
        ConfigError: if the encoding is unknown.
    """
    file = path.name
    plain = decompress(path, new_file)
    with plain.open("rb") as stream:
        start = stream.read(HEAD)
    if not start.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise DataError(f"{file} is empty: it needs at least one row.")
    kind = next((kind for magic, kind in COLUMNAR if start.startswith(magic)), "text")
    if kind != "text":
        return Content(file, plain, kind)
    _refuse_binary(start, file)
    codec, notes = find_encoding(plain, start, encoding, flag, file)
    if codec != "utf-8" or (b"\r" in start and b"\n" not in start):
        plain = write_utf8(plain, codec, flag, file, new_file())
    head, quotes = _survey(plain, file)
    return Content(file, plain, kind, head, quotes, notes)


def _refuse_binary(start: bytes, file: str) -> None:
    reason = next((reason for magic, reason in REFUSED if start.lstrip().startswith(magic)), None)
    if reason is None and start[257:262] == b"ustar":
        reason = "is a tar archive: unpack it"
    if reason is None and any(start.startswith(magic) for magic, _ in COMPRESSIONS):
        reason = "is compressed twice: decompress it once"
    if reason is not None:
        raise DataError(f"{file} {reason}, and give the file of interactions or items.")


def _survey(path: Path, file: str) -> tuple[str, bool]:
    """Return the complete lines at the start of a UTF-8 file, and whether it has quotes; refuse binary content."""
    quotes = False
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(0)
        while chunk := stream.read(CHUNK):
            quotes = quotes or b'"' in chunk
            if b"\0" in chunk:
                raise binary(file)
    whole = len(head) < HEAD
    if not whole:
        end = head.rfind(b"\n") + 1
        head = head[:end] if end else head
    return head.decode("utf-8", errors="ignore"), quotes
