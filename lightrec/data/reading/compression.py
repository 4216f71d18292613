"""Compressed files: recognised by their first bytes and read to the end, so that damage is found before use."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from lightrec.errors import DataError, MissingExtraError

CHUNK = 1 << 22
COMPRESSIONS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError, ValueError)
"""What the standard decompressors raise for content that is cut short or changed."""


def decompress(path: Path, new_file: Callable[[], Path]) -> Path:
    """Return the path itself, or the path of a decompressed copy.

    Raises:
        DataError: if the content is cut short or damaged.
        MissingExtraError: if it is compressed with Zstandard and no library for it is installed.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
    compression = next((name for magic, name in COMPRESSIONS if start.startswith(magic)), None)
    if compression is None:
        return path
    copy = new_file()
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            for chunk in _decompressed(source, compression, path.name):
                target.write(chunk)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the system, such as a full disk
            raise
        raise DataError(
            f"{path.name} breaks off or is damaged: its {compression} compression cannot be read to the end "
            f"({' '.join(str(error).split())}), so fetch or write it again."
        ) from None
    return copy


def _decompressed(source: IO[bytes], compression: str, file: str) -> Iterator[bytes]:
    if compression == "Zstandard":
        yield from _zstandard(source, file)
        return
    openers: dict[str, Callable[[IO[bytes]], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    opened = openers[compression](source)
    while chunk := opened.read(CHUNK):
        yield chunk


def _zstandard(source: IO[bytes], file: str) -> Iterator[bytes]:
    """Decompress the frames of a file one after the other; raise EOFError if a frame is not complete."""
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError(
            f"Reading {file} needs zstandard, which is not installed: run  pip install 'lightrec[data]'"
        ) from None
    frame = None
    try:
        while chunk := source.read(CHUNK):
            while chunk:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(chunk)
                chunk = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if frame is not None:
        raise EOFError("the last frame is not complete")
