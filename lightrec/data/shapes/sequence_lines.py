"""Lines of a user and items, or of items alone, as one row per event."""

from __future__ import annotations

from lightrec.data.reading.content import Content
from lightrec.data.reading.options import Part, ReadOptions
from lightrec.data.reading.polars_import import pl
from lightrec.data.separated.layout import parse_separator
from lightrec.errors import ConfigError, DataError

ANY_SEPARATOR = r"[\s,;|]+"
NEVER = "\0"


def read_sequences(content: Content, options: ReadOptions) -> Part:
    """Read lines such as ``user item item item`` (``--format sequences``) or ``item item item`` (``sessions``).

    The values are separated by white space, commas, semicolons or pipes, or by ``options.separator``. The events of
    a line keep its order; the id of a session is the number of its line.

    Raises:
        DataError: if no line has an item.
        ConfigError: if columns are named, which are user and item here.
    """
    if options.columns:
        raise ConfigError(
            f"{options.flags}columns does not go with {options.flags}format {options.format}: its columns are user and "
            "item."
        )
    values = _values(content, options).collect()
    if options.format == "sequences":
        lines = values.select(user=pl.col("values").list.first(), item=pl.col("values").list.slice(1))
    else:
        lines = values.select(user=pl.col("line").cast(pl.String), item=pl.col("values"))
    without = int((lines["item"].list.len() == 0).sum())
    events = lines.filter(pl.col("item").list.len() > 0).explode("item")
    if events.is_empty():
        raise DataError(
            f"{content.file} has no line of a user and items (the first one: {content.head.splitlines()[0][:60]!r}): "
            f"check {options.flags}format and {options.flags}separator."
        )
    notes = [*content.notes, f"has {len(lines):,} sequences, each element of which was read as a row"]
    if without:
        notes.append(f"has {without:,} lines of a user without items, which give no rows")
    return Part(content.file, events.lazy(), ["user", "item"], tuple(notes), len(events))


def _values(content: Content, options: ReadOptions) -> pl.LazyFrame:
    """Return the number of each line that is not blank, from 1, and its values without spaces around them."""
    lines = pl.scan_csv(
        content.path,
        has_header=False,
        separator=NEVER,
        quote_char=None,
        schema={"text": pl.String},
        row_index_name="line",
        row_index_offset=1,
        glob=False,
    )
    text = pl.col("text").str.strip_chars()
    if options.separator is None:
        split = text.str.replace_all(ANY_SEPARATOR, NEVER).str.strip_chars(NEVER).str.split(NEVER)
    else:
        separator = parse_separator(options.separator, f"{options.flags}separator")
        by = text.str.replace_all(r"\s+", " ") if separator == " " else text
        split = by.str.split(separator).list.eval(pl.element().str.strip_chars())
    return lines.filter(text != "").select(
        "line", split.list.eval(pl.element().filter(pl.element() != "")).alias("values")
    )
