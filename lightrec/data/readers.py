"""Files of interactions and items to tables, with every id as text.

A format is known by the end of the file's name: ``.csv``, ``.tsv``, ``.inter`` and ``.item`` (RecBole atomic files),
``.jsonl``, ``.ndjson`` and ``.json`` (one object a line), each also with ``.gz``; and ``.parquet``. Ids are never read
as numbers: ``007`` stays ``007`` and ``1.0`` stays ``1.0``; whole numbers of Parquet and JSON become decimal text, so
that a JSON column which mixes ``7`` and ``"7"`` means one id. Quotes have a meaning in CSV alone. Rows are counted from
1, without the header and blank lines.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from lightrec.data.frames import pl
from lightrec.errors import DataError

SEPARATED: dict[str, dict[str, Any]] = {
    ".csv": {"separator": ","},
    ".tsv": {"separator": "\t", "quote_char": None},
    ".inter": {"separator": "\t", "quote_char": None},
    ".item": {"separator": "\t", "quote_char": None},
}
JSON_LINES = (".jsonl", ".ndjson", ".json")
RECBOLE = (".inter", ".item")
KNOWN = (*SEPARATED, *JSON_LINES, ".parquet")


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How to read a file; what is left out is recognised by the content."""

    separator: str | None = None
    """Between the values of a row: one or more characters, or ``"tab"`` or ``"space"`` (``--separator``)."""
    encoding: str | None = None
    """Of the text, by any name that Python knows (``--encoding``)."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file without a header, in order (``--columns``)."""
    format: str | None = None
    """One of :data:`FORMATS` (``--format``)."""
    flags: str = "--"
    """What the names of these flags start with in messages: ``"--items-"`` for the items file."""


FORMATS = ("separated", "json", "parquet", "sequences", "sessions")


class Table:
    """One file, or several of equal columns as one; columns are known and rows are read when asked for."""

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        options: ReadOptions = ReadOptions(),
    ) -> None:
        """Look at the columns.

        Args:
            paths: a file, a folder of parts, or several of these; their rows follow each other in this order.
            options: how to read them.

        Raises:
            DataError: if a file is missing, empty, of no known format, or not what its name says.
        """
        files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self.notes: list[str] = []
        """What the reader decided and a user should know, one sentence each."""
        self.path = files[0]
        self.file = self.path.name
        """The name of the file, for messages."""
        self.format = _format(self.path)
        try:
            self._frame = self._scan()
            self.columns: list[str] = self._frame.collect_schema().names()
        except pl.exceptions.NoDataError:
            raise DataError(f"{self.file} is empty: it needs a header and at least one row.") from None
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise self._unreadable(error) from None

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """The rows of some columns, in the order of the file.

        Columns of text formats are text; those of Parquet keep their type.

        Raises:
            DataError: if the file has no rows or breaks off, or a row does not fit the header.
        """
        try:
            frame = self._frame.select(list(dict.fromkeys(columns))).collect()
            if self.format in SEPARATED:  # a blank line reads as a row without values
                frame = frame.filter(pl.any_horizontal(pl.all().is_not_null()))
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise self._unreadable(error) from None
        if frame.is_empty():
            raise DataError(f"{self.file} is empty: it has no rows.")
        return frame

    def _scan(self) -> pl.LazyFrame:
        if self.format == ".parquet":
            return pl.scan_parquet(self.path)
        if self.format in JSON_LINES:
            return self._scan_json()
        frame = pl.scan_csv(self.path, infer_schema=False, **SEPARATED[self.format])
        names = frame.collect_schema().names()
        plain = [name.partition(":")[0] if self.format in RECBOLE else name.strip() for name in names]
        return frame.rename(dict(zip(names, plain, strict=True)))

    def _scan_json(self) -> pl.LazyFrame:
        """Every column as text, so that a column of mixed types is read as it is written."""
        with _open(self.path) as content:
            if not content.read(4096).strip():
                raise DataError(f"{self.file} is empty: it needs at least one line.")
        names = pl.scan_ndjson(self.path, infer_schema_length=1000).collect_schema().names()
        return pl.scan_ndjson(self.path, schema=dict.fromkeys(names, pl.String))

    def _unreadable(self, error: Exception) -> DataError:
        """The sentence for a file that its reader refused; it names the row where one can be found."""
        kind = {".parquet": "Parquet"}.get(self.format, "JSON lines" if self.format in JSON_LINES else "CSV")
        try:
            culprit = next(self._bad_rows(), None)
        except (OSError, EOFError):
            culprit = "the file breaks off or is damaged"
        except UnicodeDecodeError:
            culprit = "its text is not UTF-8 (convert it with  iconv -f latin1 -t utf8)"
        return DataError(f"{self.file} cannot be read as {kind}: {culprit or str(error).splitlines()[0]}.")

    def _bad_rows(self) -> Iterator[str]:
        if self.format == ".parquet":
            return
        with io.TextIOWrapper(_open(self.path), encoding="utf-8-sig", newline="") as lines:
            if self.format in JSON_LINES:
                yield from _bad_json(lines)
            else:
                yield from _bad_widths(lines, self.format)


def as_ids(column: pl.Series, file: str) -> pl.Series:
    """The column as ids: text, never empty.

    Raises:
        DataError: if an id is missing (naming the rows), or the column is of a type that holds no ids.
    """
    kind = column.dtype
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise DataError(
            f"Column {column.name!r} of {file} has type {kind}: ids must be text or whole numbers, so store it as such."
        )
    ids = column.cast(pl.String)
    missing = ids.is_null() | (ids == "")
    if missing.any():
        rows = [f"{int(row) + 1:,}" for row in missing.arg_true().head(5)]
        total = int(missing.sum())
        raise DataError(
            f"Column {column.name!r} of {file} has no id in {total:,} row{'s' if total > 1 else ''} "
            f"(row {', '.join(rows)}{', ...' if total > 5 else ''}): fill in or remove them."
        )
    return ids


def _open(path: Path) -> IO[bytes]:
    """Open a file's content for reading, decompressed if its name ends in ``.gz``."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _format(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the file of interactions in it.")
    if not path.is_file():
        raise DataError(f"{path} does not exist: check the path.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if ending not in KNOWN or (ending == ".parquet" and suffixes[-1] == ".gz"):
        raise DataError(
            f"{path.name} is of no known format: its name must end in {', '.join(KNOWN)} "
            "(.gz may follow all but the last)."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty: it needs a header and at least one row.")
    return ending


def _bad_json(lines: IO[str]) -> Iterator[str]:
    for row, line in enumerate(lines, start=1):
        try:
            if line.strip() and not isinstance(json.loads(line, parse_constant=_refuse), dict):
                yield f"line {row:,} is not an object in braces"
        except ValueError:
            yield f"line {row:,} is not valid JSON"


def _refuse(constant: str) -> None:
    """Python's reader takes NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _bad_widths(lines: IO[str], ending: str) -> Iterator[str]:
    style = SEPARATED[ending]
    quoting = csv.QUOTE_NONE if "quote_char" in style else csv.QUOTE_MINIMAL
    rows = csv.reader(lines, delimiter=style["separator"], quoting=quoting, strict=True)  # type: ignore[arg-type]
    row, width = 0, len(next(rows, []))
    try:
        for row, fields in enumerate(rows, start=1):
            if len(fields) > width:
                yield f"row {row:,} has {len(fields)} fields, the header {width}"
    except csv.Error:
        yield f"row {row + 1:,} has a quote that is not closed, or one amid a field"
