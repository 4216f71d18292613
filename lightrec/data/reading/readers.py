"""Read files of interactions and items as tables, with every id as text.

What a file is decides its content, never its name: separated text with or without a header (commas, semicolons, tabs,
pipes, ``::`` or spaces; RecBole's typed headers too), JSON (one object a line, arrays, lists by user, Python
dictionaries), lines of a user and items, Parquet and Arrow; each compressed with gzip, Zstandard, bzip2 or xz or not;
in UTF-8, UTF-16 or Windows-1252. Ids are never read as numbers: ``007`` stays ``007`` and ``1.0`` stays ``1.0``; whole
numbers of Parquet and JSON become decimal text, so that ``7`` and ``"7"`` in a JSON column are one id. Rows
are counted from 1, without the header and blank lines.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightrec.data.columns.usual_names import listed
from lightrec.data.reading.content import Content, open_content
from lightrec.data.reading.json_files import looks_like_json, read_json
from lightrec.data.reading.not_tables import refuse_other_text
from lightrec.data.reading.options import FORMATS, Part, ReadOptions
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.polars_panics import PANIC, quiet_panics
from lightrec.data.reading.sources import find_files
from lightrec.data.separated.table import read_separated
from lightrec.data.shapes.nested import with_fields
from lightrec.data.shapes.sequence_lines import read_sequences
from lightrec.errors import ConfigError, DataError

__all__ = ["FORMATS", "ReadOptions", "Table", "as_ids"]


class Table:
    """One file, or several with equal columns as one; the columns are known, rows are read on request."""

    def __init__(self, paths: str | Path | Sequence[str | Path], options: ReadOptions = ReadOptions()) -> None:
        """Find the columns; rows are read later.

        Args:
            paths: a file, a folder of parts, or several of these; their rows follow each other in this order.
            options: how to read them.

        Raises:
            DataError: if a file is missing, empty, damaged or of a kind that cannot be read, or if the files
                have different columns.
            ConfigError: if the options do not fit the files.
        """
        if options.format is not None and options.format not in FORMATS:
            raise ConfigError(f"{options.flags}format is {options.format!r}: it must be one of {', '.join(FORMATS)}.")
        files, notes = find_files(paths)
        self.file = _name(paths, files)
        """The name of the file or folder, for messages."""
        self._scratch = _Scratch()
        self._parts: list[Part] = []
        for file in files:
            before = self._parts[-1].columns if self._parts else ()
            self._parts.append(self._part(file, options, before))
        self.columns: list[str] = self._parts[0].columns
        """The names of the columns, in their order."""
        _require_equal(self._parts)
        self.notes: list[str] = [*notes, *_gathered([(part.file, note) for part in self._parts for note in part.notes])]
        """Decisions of the reader that a user should know, one sentence each."""

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Read the rows of some columns, in the order of the files.

        Columns of text formats are text, or lists of text in JSON; those of Parquet keep their type.

        Raises:
            DataError: if there are no rows or a row cannot be read.
        """
        frames = [self._rows(part, list(dict.fromkeys(columns))) for part in self._parts]
        frame = frames[0] if len(frames) == 1 else _joined(frames, self.file)
        if frame.is_empty():
            raise DataError(f"{self.file} is empty: it has no rows.")
        return frame

    def _part(self, path: Path, options: ReadOptions, before: Sequence[str]) -> Part:
        with self._scratch.sentences(path.name):
            content = open_content(
                self._scratch.regular(path), options.encoding, f"{options.flags}encoding", self._scratch.new
            )
            with quiet_panics():
                return _part(content, options, self._scratch, before)

    def _rows(self, part: Part, columns: list[str]) -> pl.DataFrame:
        with self._scratch.sentences(part.file), quiet_panics():
            frame = part.frame.select(columns).collect()
        if part.rows is not None and columns and len(frame) != part.rows:
            raise DataError(f"{part.file} cannot be read: {part.rows:,} rows were counted but {len(frame):,} found.")
        return frame


class _Scratch:
    """A folder for copies of content that cannot be read in place; it is deleted with its table."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()

    def new(self) -> Path:
        """Return the path of a file that does not exist yet."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lightrec-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / str(next(self._numbers))

    @contextlib.contextmanager
    def sentences(self, file: str) -> Iterator[None]:
        """Turn errors of polars or the system about a file or its copy into one-sentence errors."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):  # Windows has no quotas
                raise DataError(
                    f"There is no room to decompress or convert {file} ({error.strerror} in {self.new().parent}): make "
                    "room, or set TMPDIR to a folder on a larger disk."
                ) from None
            raise DataError(f"{file} cannot be read: {error.strerror or error}.") from None
        except (pl.exceptions.PolarsError, PANIC, MemoryError) as error:
            found = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{file} is damaged or cannot be read ({found}): fetch or write it again.") from None

    def regular(self, path: Path) -> Path:
        """Return the path itself, or a copy of the content of a pipe."""
        if path.is_file():
            return path
        if not stat.S_ISFIFO(path.stat().st_mode):
            raise DataError(f"{path} is neither a file nor a folder.")
        copy = self.new().with_name(path.name)
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        return copy


def _part(content: Content, options: ReadOptions, scratch: _Scratch, before: Sequence[str]) -> Part:
    if content.kind == "text" and not (options.format or options.columns or options.separator):
        refuse_other_text(content.head, content.file)
    kind = options.format or (
        content.kind if content.kind != "text" else "json" if looks_like_json(content.head) else "separated"
    )
    if (content.kind == "text") != (kind in ("separated", "json", "sequences", "sessions")):
        raise ConfigError(
            f"{content.file} is {'text' if content.kind == 'text' else content.kind}: leave out --format."
        )
    unfit = {"separated": (), "sequences": (), "sessions": (), "json": ("separator", "columns")}
    for flag in unfit.get(kind, ("separator", "columns", "encoding")):
        if getattr(options, flag):
            raise ConfigError(
                f"{options.flags}{flag} is for separated text, but {content.file} is {kind}: leave it out."
            )
    if kind == "json":
        return read_json(content, options, scratch.new)
    if kind == "separated":
        return read_separated(content, options, scratch.new, before)
    if kind in ("sequences", "sessions"):
        return read_sequences(content, options)
    return _columnar(content, options)


def _columnar(content: Content, options: ReadOptions) -> Part:
    if content.kind == "parquet":
        frame = pl.scan_parquet(content.path, glob=False, hive_partitioning=False)
    else:
        frame = pl.scan_ipc(content.path, glob=False, hive_partitioning=False)
    names = frame.collect_schema().names()
    frame, names, notes = with_fields(frame, names, options)
    return Part(content.file, frame, names, (*content.notes, *notes))


def _name(paths: str | Path | Sequence[str | Path], files: Sequence[Path]) -> str:
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if len(given) == 1:
        return given[0].name or str(given[0])
    return f"{files[0].name} and {len(files) - 1} more"


def _require_equal(parts: Sequence[Part]) -> None:
    """Raise DataError for parts whose columns differ from those of the first, naming the differences."""
    first = parts[0]
    for part in parts[1:]:
        lacking = [name for name in first.columns if name not in part.columns]
        further = [name for name in part.columns if name not in first.columns]
        if lacking or further:
            differences = [f"lacks {listed(lacking, 5)}"] * bool(lacking) + [
                f"has {listed(further, 5)} besides"
            ] * bool(further)
            raise DataError(
                f"{part.file} has other columns than {first.file} (it {' and '.join(differences)}): files that are "
                "read as one log need equal columns."
            )


def _joined(frames: list[pl.DataFrame], file: str) -> pl.DataFrame:
    """Join the rows of all parts; a column that is text in one and whole numbers in another becomes text."""
    try:
        return pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        pass
    for name in frames[0].columns:
        kinds = {frame.schema[name] for frame in frames}
        if len(kinds) > 1 and all(kind.is_integer() or kind == pl.String or kind == pl.Null for kind in kinds):
            frames = [frame.with_columns(pl.col(name).cast(pl.String)) for frame in frames]
    try:
        return pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        different = next(name for name in frames[0].columns if len({frame.schema[name] for frame in frames}) > 1)
        names = sorted({str(frame.schema[different]) for frame in frames})
        raise DataError(
            f"The files of {file} hold different types in the column {different!r} ({', '.join(names)}): store "
            "it as one type."
        ) from None


def _gathered(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Return one sentence for each distinct note, with the files that it is about."""
    files: dict[str, list[str]] = {}
    for file, note in notes:
        files.setdefault(note, []).append(file)
    return [
        f"{names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''} {note}."
        for note, names in files.items()
    ]


def as_ids(column: pl.Series, file: str) -> pl.Series:
    """Return the column as ids: text, never empty.

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
