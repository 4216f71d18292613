"""Input and output of every reader of files: the user's options, and one file with known columns."""

from __future__ import annotations

import dataclasses

from lightrec.data.reading.polars_import import pl

FORMATS = ("separated", "json", "parquet", "sequences", "sessions")
"""Values of ``--format``: ``sequences`` are lines of a user and items, ``sessions`` lines of items alone."""


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How to read a file; omitted options are recognised from the content."""

    separator: str | None = None
    """Separator of the values of a row: one or more characters, or ``"tab"`` or ``"space"`` (``--separator``)."""
    encoding: str | None = None
    """Encoding of the text, by any name that Python knows (``--encoding``)."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a file without a header, in order (``--columns``)."""
    format: str | None = None
    """One of :data:`FORMATS` (``--format``)."""
    flags: str = "--"
    """Prefix of the names of these flags in messages: ``"--"`` for a log, ``"--items-"`` for its items, ``""``
    for another table whose command has no such flags."""

    @property
    def is_log(self) -> bool:
        """Whether rows are events, so that lists of events become rows."""
        return self.flags == "--"


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a log: its columns are known, its rows are read on request."""

    file: str
    """Its name, for messages."""
    frame: pl.LazyFrame
    columns: list[str]
    notes: tuple[str, ...] = ()
    """Notes for the user, each the end of a sentence that starts with the file's name."""
    rows: int | None = None
    """Number of rows, where known."""
