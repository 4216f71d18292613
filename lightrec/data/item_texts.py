"""The items file: one title and one text for each item id."""

from __future__ import annotations

import dataclasses

from lightrec.data.clean_text import clean_title, clean_words, join_texts
from lightrec.data.columns.choice import ColumnFlags, choose_items_id, text_columns
from lightrec.data.columns.ids import read_ids
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.readers import Table
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
    """Rows left out because an earlier row has the same id."""
    without_id: int = 0
    """Rows left out because they have no id."""
    notes: tuple[str, ...] = ()
    """Sentences about the decisions made."""


def read_item_texts(
    table: Table, flags: ColumnFlags, item: str | None = None, *, keep_na_ids: bool = False
) -> ItemTexts:
    """Read an items file.

    The first text column is the title. Without ``flags.text``, the title is the column with a usual name, and the
    columns such as year, genres, category, brand and author that the file has follow it.

    Args:
        table: the items file.
        flags: columns named by the user.
        item: the name of the item column in the interactions.
        keep_na_ids: treat texts such as "None" and "NA" as ids.

    Raises:
        DataError: if no item or text column is found, or no row has an id.
    """
    id_column = choose_items_id(flags, item, table.columns, table.file)
    text = text_columns(flags.text, table.columns, table.file)
    text = text if flags.text else [column for column in text if column != id_column]
    if not text:
        raise DataError(
            f"{table.file} has no column recognised as a title (its columns: {', '.join(table.columns)}): "
            "name it with --text-column."
        )
    frame = table.read([id_column, *text])
    _require_texts(frame.select(text), table.file)
    ids = read_ids(frame[id_column], table.file, keep=keep_na_ids)
    known = ids.values.is_not_null()
    if not known.any():
        raise DataError(f"No row of {table.file} has an id in {id_column!r}: name the column with --items-id-column.")
    used = known & ids.values.is_first_distinct()
    titles = clean_title(frame[text[0]])
    return ItemTexts(
        ids=ids.values.filter(used),
        titles=titles.filter(used),
        texts=join_texts([titles, *(clean_words(frame[column]) for column in text[1:])]).filter(used),
        columns={"item": id_column, "title": text[0], "text": text},
        duplicates=int((known & ~used).sum()),
        without_id=int((~known).sum()),
        notes=ids.notes,
    )


def _require_texts(frame: pl.DataFrame, file: str) -> None:
    for column in frame:
        inner = column.dtype
        while isinstance(inner, pl.List):
            inner = inner.inner  # type: ignore[assignment]
        named = isinstance(inner, pl.Struct) and inner is not column.dtype and "name" in {f.name for f in inner.fields}
        if (isinstance(inner, pl.Struct) and not named) or inner in (pl.Binary, pl.Object):
            raise DataError(
                f"Column {column.name!r} of {file} has type {column.dtype}, which is no text: "
                "name others with --text-column."
            )
