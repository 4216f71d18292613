"""Plain titles and texts of items: without HTML, with single spaces only, and with lists as words."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lightrec.data.columns.ids import NO_ID
from lightrec.data.reading.cells import as_text
from lightrec.data.reading.polars_import import pl

TAGS = (
    *("a", "abbr", "b", "big", "blockquote", "body", "br", "center", "cite", "code", "dd", "del", "div", "dl", "dt"),
    *("em", "font", "h[1-6]", "head", "hr", "html", "i", "img", "ins", "label", "li", "link", "mark", "meta", "nobr"),
    *("ol", "p", "pre", "q", "s", "small", "span", "strike", "strong", "style", "script", "sub", "sup", "table"),
    *("tbody", "td", "tfoot", "th", "thead", "title", "tr", "tt", "u", "ul", "wbr"),
)
"""The elements of HTML whose tags are left out; other text in angle brackets stays."""
TAG = re.compile(rf"(?i)</?(?:{'|'.join(TAGS)})(?:\s[^<>]*)?/?>")
HIDDEN = re.compile(r"(?is)<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
LONGEST_LIST = 100_000
"""Most characters of a text that is parsed as a list."""


def clean_title(column: pl.Series) -> pl.Series:
    """Return a column of titles as plain text; empty text and words for "none" become null."""
    return _finish(_plain(column))


def clean_words(column: pl.Series) -> pl.Series:
    """Clean further text as titles; in addition, ``a|b`` becomes ``a b`` and the year ``1999.0`` becomes 1999."""
    text = (
        _plain(column)
        .replace("(no genres listed)", None)
        .str.replace_all("|", " ", literal=True)
        .str.replace(r"^\s*(\d{4})\.0\s*$", "${1}")
    )
    return _finish(text)


def join_texts(parts: list[pl.Series]) -> pl.Series:
    """Join clean columns by ", " to one text per row, without missing parts; null where all parts are missing."""
    frame = pl.DataFrame([part.alias(str(place)) for place, part in enumerate(parts)])
    joined = pl.concat_str(pl.all(), separator=", ", ignore_nulls=True)
    return frame.select(pl.when(joined != "").then(joined).alias("text"))["text"]


def _plain(column: pl.Series) -> pl.Series:
    """Return a column as text, with lists joined by spaces and HTML removed."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        while isinstance(column.dtype.inner, pl.List):  # type: ignore[attr-defined]
            column = column.list.eval(pl.element().list.explode())
        if isinstance(column.dtype.inner, pl.Struct):  # type: ignore[attr-defined]
            column = column.list.eval(pl.element().struct.field("name"))
        column = column.cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True)
    text = as_text(column)
    if text is None:
        raise ValueError(f"type {column.dtype} is no text")  # the reader of items has refused it
    text = _where(text, r"^\s*[\[(]", _joined_list)
    return _where(text, r"[&<]", without_html)


def _finish(text: pl.Series) -> pl.Series:
    text = text.str.replace_all(r"[\s\p{Cc}]+", " ").str.strip_chars()
    known = pl.col("text").is_not_null() & ~pl.col("text").is_in(["", *NO_ID])
    return text.alias("text").to_frame().select(pl.when(known).then(pl.col("text")).alias("text"))["text"]


def _where(text: pl.Series, pattern: str, change: Callable[[str], str]) -> pl.Series:
    """Apply ``change`` to the values that contain ``pattern``."""
    rows = text.str.contains(pattern).fill_null(False).arg_true()
    if not len(rows):
        return text
    return text.scatter(rows, pl.Series([change(value) for value in text.gather(rows)], dtype=pl.String))


def without_html(text: str) -> str:
    """Decode entities and remove tags.

    >>> without_html("AT&amp;T<br>Phones <3 &lt;b&gt;new&lt;/b&gt;")
    'AT&T Phones <3  new '
    """
    text = ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    text = ENTITY.sub(lambda entity: html.unescape(entity[0]), text)  # &amp;quot; is common in catalogues
    return TAG.sub(" ", HIDDEN.sub(" ", text))


def _joined_list(text: str) -> str:
    """Return the words of a list in JSON or Python notation; other text, such as ``[REC]``, unchanged."""
    if len(text) > LONGEST_LIST:
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple):
            words = list(_words(value))
            return text if None in words else ", ".join(str(word) for word in words)
    return text


def _words(value: Any) -> Iterator[str | None]:
    """Yield the strings in nested lists, and the names of objects in them; None for anything else."""
    for part in value:
        if isinstance(part, list | tuple):
            yield from _words(part)
        elif isinstance(part, dict) and isinstance(part.get("name"), str):
            yield part["name"]
        else:
            yield part if isinstance(part, str) else None
