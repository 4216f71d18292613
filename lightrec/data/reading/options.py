"""What every reader of files takes and gives: the options of a user, and one file whose columns are known."""

from __future__ import annotations

import dataclasses

from lightrec.data.reading.polars_import import pl

FORMATS = ("separated", "json", "parquet", "sequences", "sessions")
"""What ``--format`` takes: ``sequences`` are lines of a user and items, ``sessions`` lines of items alone."""


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How to read a file; what is left out is recognised by the content."""

    separator: str | None = None
    """Between the values of a row: one or more characters, or ``"tab"`` or ``"space"`` (``--separator``)."""
    encoding: str | None = None
    """Encoding of the text, by any name that Python knows (``--encoding``)."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file without a header, in order (``--columns``)."""
    format: str | None = None
    """One of :data:`FORMATS` (``--format``)."""
    flags: str = "--"
    """What the names of these flags start with in messages: ``"--"`` for a log, ``"--items-"`` for its items, ``""``
    for another table whose command has no such flags."""

    @property
    def is_log(self) -> bool:
        """Rows are events, so that lists of them become rows."""
        return self.flags == "--"


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a log: its columns are known, its rows are read when asked for."""

    file: str
    """Its name, for messages."""
    frame: pl.LazyFrame
    columns: list[str]
    notes: tuple[str, ...] = ()
    """What a user should know, each the end of a sentence that starts with the file's name."""
    rows: int | None = None
    """How many there are, where that is known."""
