"""Encodings of text: recognised if certain, recognised with a note if likely, and otherwise refused."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np

from lightrec.data.reading.compression import CHUNK
from lightrec.errors import ConfigError, DataError

MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(path: Path, start: bytes, named: str | None, flag: str, file: str) -> tuple[str, tuple[str, ...]]:
    """Return the codec of a text, "utf-8" if it can be read unchanged, and notes."""
    marked = next((codec for mark, codec in MARKS if start.startswith(mark)), None)
    if named is not None:
        return _named_codec(named, marked, flag), ()
    if marked is not None:
        return marked, () if marked == "utf-8-sig" else (f"is {marked.upper()}",)
    wide = _wide(start)
    if wide is not None:
        return wide, (f"was read as {wide.upper()}, which has no byte order mark",)
    if b"\0" in start:
        raise binary(file)
    bad = _first_undecodable(path)
    if bad is None:
        return "utf-8", ()
    return _western(path, bad, flag, file)


def binary(file: str) -> DataError:
    """Return the error for a file that holds no text."""
    return DataError(f"{file} holds binary data, not text: store the table as CSV, JSON lines or Parquet.")


def _named_codec(named: str, marked: str | None, flag: str) -> str:
    try:
        b"x".decode(named, errors="replace")
        codec = codecs.lookup(named).name
    except (LookupError, UnicodeError):
        raise ConfigError(
            f"{flag} is {named!r}, which is no known encoding: give one such as utf-8, latin-1, cp1251, gb18030 or "
            "shift_jis."
        ) from None
    if codec == "utf-8":
        return marked if marked == "utf-8-sig" else "utf-8-named"
    return codec


def _wide(start: bytes) -> str | None:
    """Recognise UTF-16 without a byte order mark: plain characters have a zero in every second byte."""
    sample = start[: 4096 & ~1]
    pairs = max(1, len(sample) // 2)
    even, odd = sample[0::2].count(0) / pairs, sample[1::2].count(0) / pairs
    if odd > 0.6 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd < 0.1 else None


def _first_undecodable(path: Path) -> int | None:
    """Return the number of the first line that is not UTF-8, counted from 1; None if there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, carried = 1, b""
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return line + (carried + chunk)[: error.start].count(b"\n")
            if not chunk:
                return None
            carried = decoder.getstate()[0]
            line += chunk.count(b"\n")


def _western(path: Path, bad_line: int, flag: str, file: str) -> tuple[str, tuple[str, ...]]:
    """Return Windows-1252, which contains all of latin-1; raise DataError if the text does not look like it.

    Western text has few characters beyond ASCII, mostly one at a time, and hardly any in the range of its quotation
    marks. Other encodings have runs of them or use that range for letters, and a damaged UTF-8 file has valid
    multi-byte characters in addition to the damage.
    """
    valid = invalid = runs = high = marks = undefined = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            text = chunk.decode("utf-8", errors="surrogateescape")
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
            escaped = (codes >= 0xDC80) & (codes <= 0xDCFF)
            invalid += int(escaped.sum())
            valid += int(((codes >= 0x80) & ~escaped).sum())
            values = np.frombuffer(chunk, np.uint8)
            high += int((values >= 0x80).sum())
            runs += (values >= 0x80).tobytes().count(b"\1\1\1")
            marks += int(((values >= 0x80) & (values < 0xA0)).sum())
            undefined += sum(chunk.count(byte) for byte in b"\x81\x8d\x8f\x90\x9d")
    if valid > invalid:
        raise DataError(
            f"{file} is UTF-8 but for line {bad_line:,}, which is damaged: mend it, or name another encoding with "
            f"{flag}."
        )
    if undefined or 6 * runs > high or 2 * marks > high:
        raise DataError(
            f"{file} is not UTF-8 (line {bad_line:,}) and does not look like Western European text: name its encoding "
            f"with {flag} (such as cp1251, gb18030, shift_jis or euc-kr)."
        )
    return "cp1252", (
        f"is not UTF-8 and was read as Windows-1252, which includes latin-1; if names look wrong, give {flag}",
    )


def write_utf8(path: Path, codec: str, flag: str, file: str, copy: Path) -> Path:
    """Write a copy in UTF-8 whose lines end in a line feed."""
    codec, line, first = codec.removesuffix("-named"), 1, True
    try:
        with path.open(encoding=codec, newline=None) as source, copy.open("wb") as target:
            while text := source.read(CHUNK):
                text, first = text.removeprefix("\ufeff") if first else text, False
                target.write(text.encode("utf-8"))
                line += text.count("\n")
    except (UnicodeError, ValueError):
        raise DataError(
            f"{file} is not {codec} (line {line:,} or later): give its encoding with {flag}, or mend the file."
        ) from None
    return copy
