"""The items file: one title and one text for each item id."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lightrec.data.columns import ColumnFlags, require_column, text_columns
from lightrec.data.frames import pl
from lightrec.data.readers import Table, as_ids
from lightrec.errors import DataError


@dataclasses.dataclass(frozen=True)
class ItemTexts:
    """Item ids with their titles and texts, each id once."""

    ids: pl.Series
    """Text, in the order of the file."""
    titles: pl.Series
    """What people read; null where there is none."""
    texts: pl.Series
    """What a language model reads: the title, then the further columns, joined by ", "; null where there is none."""
    columns: dict[str, str | list[str]]
    """The columns used: "item", "title" and "text"."""
    duplicates: int = 0
    """Rows left out because their id was there before: the first row counts."""


def read_item_texts(table: Table, flags: ColumnFlags) -> ItemTexts:
    """Read an items file.

    The first text column is the title. Without ``flags.text`` it is the column with the usual name, followed by
    those among year, genres, category, brand and author that the file has.

    Raises:
        DataError: if no item or text column is found, or an id is missing.
    """
    item = require_column("item", flags.item, table.columns, table.file)
    text = [column for column in text_columns(flags.text, table.columns, table.file) if column != item or flags.text]
    if not text:
        raise DataError(
            f"{table.file} has no column recognised as a title (its columns: {', '.join(table.columns)}): "
            "name it with --text-column."
        )
    frame = table.read([item, *text])
    for column in frame.select(text):
        if isinstance(column.dtype, pl.Struct) or column.dtype == pl.Binary:
            raise DataError(
                f"Column {column.name!r} of {table.file} has type {column.dtype}, which is no text: "
                "name others with --text-column."
            )
    ids = as_ids(frame[item], table.file)
    first = ids.is_first_distinct()
    return ItemTexts(
        ids=ids.filter(first),
        titles=clean(frame[text[0]]).filter(first),
        texts=join_texts([frame[column] for column in text]).filter(first),
        columns={"item": item, "title": text[0], "text": text},
        duplicates=int((~first).sum()),
    )


def join_texts(parts: Sequence[pl.Series]) -> pl.Series:
    """Join columns to one text a row by ", ", leaving out what is missing; null where all parts are."""
    frame = pl.DataFrame([clean(part).alias(str(place)) for place, part in enumerate(parts)])
    joined = pl.concat_str(pl.all(), separator=", ", ignore_nulls=True)
    return frame.select(pl.when(joined != "").then(joined).alias("text"))["text"]


def clean(column: pl.Series) -> pl.Series:
    """A column as text: white space folded, lists and ``a|b`` joined by spaces, ``1999.0`` to 1999, empty text null."""
    if isinstance(column.dtype, pl.List):
        while isinstance(column.dtype.inner, pl.List):  # type: ignore[attr-defined]
            column = column.list.eval(pl.element().list.explode())
        column = column.cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True)
    text = pl.col("text")
    listed = text.str.contains(r"^\s*\[")  # a list as JSON lines holds it: ["Games", "Puzzles"]
    text = pl.when(listed).then(text.str.replace_all(r'[\[\]"]', "")).otherwise(text)
    text = text.str.replace_all("|", " ", literal=True).str.replace_all(r"\s+", " ").str.strip_chars()
    text = text.str.replace(r"^(\d+)\.0$", "${1}")
    frame = pl.DataFrame({"text": column.cast(pl.String)}).select(text)
    return frame.select(pl.when(pl.col("text") != "").then(pl.col("text")).alias("text"))["text"]
