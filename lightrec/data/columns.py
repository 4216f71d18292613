"""Which column is which: named by a flag, or recognised by its usual name.

Names are compared without case, spaces, hyphens and underscores: ``user_id``, ``userId`` and ``User ID`` are one name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from lightrec.errors import DataError

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "user": ("userid", "user", "uid", "reviewerid", "customerid", "memberid", "visitorid", "sessionid"),
    "item": (
        *("itemid", "item", "iid", "movieid", "parentasin", "asin", "productid", "product", "sku", "articleid"),
        *("newsid", "trackid", "songid", "artistid", "bookid", "isbn", "gameid", "videoid", "businessid"),
    ),
    "time": ("timestamp", "unixreviewtime", "time", "ts", "unixtime", "datetime", "date", "eventtime", "createdat"),
    "title": ("title", "itemtitle", "movietitle", "producttitle", "name", "itemname", "productname", "headline"),
}
"""For each role, the names recognised, most telling first."""

FURTHER_TEXT = (
    *("year", "releaseyear", "genres", "genre", "class", "maincategory", "categories", "category"),
    *("brand", "author", "authors", "artist"),
)
"""Columns that join the title in an item's text when no text column is named, in this order."""


@dataclasses.dataclass(frozen=True)
class ColumnFlags:
    """Columns named by the user; what is left out is recognised by its usual name."""

    user: str | None = None
    """Of the interactions: whose event (``--user-column``)."""
    item: str | None = None
    """Of both files: which item (``--item-column``)."""
    time: str | None = None
    """Of the interactions: when (``--time-column``)."""
    text: tuple[str, ...] = ()
    """Of the items: the title first, then what is joined to it (``--text-column``, repeatable)."""


def find_column(role: str, named: str | None, columns: Sequence[str], file: str) -> str | None:
    """The column of ``file`` that plays ``role`` ("user", "item" or "time"), or None if none is recognised.

    Raises:
        DataError: if the column ``named`` by a flag is not in the file.
    """
    if named is not None:
        return _require_named(role, named, columns, file)
    return _first(USUAL_NAMES[role], columns)


def require_column(role: str, named: str | None, columns: Sequence[str], file: str) -> str:
    """As :func:`find_column`, but none recognised is a :class:`DataError` that lists what the file has."""
    found = find_column(role, named, columns, file)
    if found is None:
        raise DataError(
            f"{file} has no column recognised as the {role} (its columns: {', '.join(columns)}): "
            f"name it with --{role}-column."
        )
    return found


def text_columns(named: Sequence[str], columns: Sequence[str], file: str) -> list[str]:
    """The columns of an items file that make up an item's text, the title first; empty if there are none."""
    if named:
        return [_require_named("text", name, columns, file) for name in named]
    title = _first(USUAL_NAMES["title"], columns)
    further = [_first((name,), columns) for name in FURTHER_TEXT]
    return [column for column in (title, *further) if column is not None]


def _require_named(role: str, named: str, columns: Sequence[str], file: str) -> str:
    if named not in columns:
        raise DataError(
            f"{file} has no column {named!r}, which --{role}-column names (its columns: {', '.join(columns)})."
        )
    return named


def _first(usual: Sequence[str], columns: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(columns)}
    return next((plain[name] for name in usual if name in plain), None)
