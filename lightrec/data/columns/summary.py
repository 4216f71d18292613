"""The use of every column of both files, so that no column is ignored silently."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from lightrec.data.columns.ids import NO_ID
from lightrec.data.columns.usual_names import KINDS, RATINGS, named
from lightrec.data.events import Log
from lightrec.data.item_texts import ItemTexts
from lightrec.data.reading.cells import as_text
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.readers import Table
from lightrec.data.times.convert import as_date

NOT_USED = "not used"
FEW_ROWS = 200_000
"""Up to so many rows, the columns that are not used are read together; above, one by one."""
MANY_VALUES = 50_000_000
"""Most values of unused columns that are counted; a larger file would be read twice for little benefit."""
MOST_KINDS = 20
WISHED = ("purchase", "buy", "transaction", "order", "checkout", "play", "listen", "watch", "cart", "click", "view")
"""Parts of names of events that most people want to predict, most wanted first."""


@dataclasses.dataclass(frozen=True)
class ColumnUse:
    """One column and its use."""

    file: str
    """"interactions" or "items"."""
    column: str
    role: str
    """"user", "item", "time", "condition", "title", "text" or "not used"."""
    became: str
    """The use in words."""
    values: int | None
    """How many rows have a value; None where it was not counted."""


def describe_log(table: Table, log: Log) -> list[dict[str, Any]]:
    """Return one entry for each column of the interactions, in the order of the file (see :class:`ColumnUse`)."""
    read = log.rows - log.not_chosen - log.without_id
    used = {
        log.user: ("user", f"{len(log.user_ids):,} users"),
        log.item: ("item", f"{len(log.item_ids):,} items"),
        log.time.column: ("time", _times_in_words(log)),
        log.time.clock: ("time", "time of day"),
    }
    chosen = {column: " and ".join(texts) for column, texts in log.conditions.items()}
    rest = [column for column in table.columns if column not in used and column not in chosen]
    unused = _unused(table, rest, log.rows)
    uses = []
    for column in table.columns:
        if column in used:
            role, became = used[column]
            became += f"; rows with {chosen[column]}" if column in chosen else ""
            uses.append(ColumnUse("interactions", column, role, became, read))
        elif column in chosen:
            uses.append(ColumnUse("interactions", column, "condition", f"rows with {chosen[column]}", read))
        else:
            uses.append(ColumnUse("interactions", column, NOT_USED, *unused[column]))
    return [dataclasses.asdict(use) for use in uses]


def describe_catalogue(table: Table | None, catalogue: ItemTexts | None) -> list[dict[str, Any]]:
    """Return one entry for each column of the items file, in its order (see :class:`ColumnUse`)."""
    if table is None or catalogue is None:
        return []
    rows = len(catalogue.ids) + catalogue.duplicates + catalogue.without_id
    texts = table.read(catalogue.columns["text"]).select(pl.all().count()).row(0, named=True)
    used: dict[str, tuple[str, str, int | None]] = {}
    for column in catalogue.columns["text"][1:]:
        used[column] = ("text", "joins the text", texts[column])
    used[str(catalogue.columns["title"])] = ("title", "title, and first part of the text", catalogue.titles.count())
    if catalogue.columns["item"] not in used:
        used[str(catalogue.columns["item"])] = ("item", f"{len(catalogue.ids):,} items", rows - catalogue.without_id)
    unused = _unused(table, [column for column in table.columns if column not in used], rows, hints=False)
    return [
        dataclasses.asdict(
            ColumnUse("items", column, *(used[column] if column in used else (NOT_USED, *unused[column])))
        )
        for column in table.columns
    ]


def _times_in_words(log: Log) -> str:
    if log.times.order_only:
        return "positions: their order counts"
    first, last = (as_date(int(end)) for end in (log.times.seconds.min(), log.times.seconds.max()))
    return f"{log.times.unit}, {first} to {last}"


def _unused(
    table: Table, columns: Sequence[str], rows: int, *, hints: bool = True
) -> dict[str, tuple[str, int | None]]:
    """Return what each column holds, and its number of values."""
    looked_at = list(columns)
    if rows * len(columns) > MANY_VALUES:
        looked_at = named(KINDS, columns) if hints else []
    told: dict[str, tuple[str, int | None]] = dict.fromkeys(columns, ("not counted: the file is large", None))
    for values in _read(table, looked_at, rows):
        told[values.name] = _told(values, hints)
    return told


def _read(table: Table, columns: Sequence[str], rows: int) -> Iterator[pl.Series]:
    if not columns:
        return
    if rows <= FEW_ROWS:
        yield from table.read(columns)
        return
    for column in columns:
        yield table.read([column])[column]


def _told(values: pl.Series, hints: bool) -> tuple[str, int]:
    text = as_text(values)
    if text is None:
        return f"holds {str(values.dtype)[:40]}", values.count()
    text = text.str.strip_chars()
    known = text.filter(text.is_not_null() & ~text.is_in(["", *NO_ID]))
    if not len(known):
        return "empty", 0
    distinct = known.n_unique()
    if hints and named(KINDS, [values.name]) and 1 < distinct <= MOST_KINDS:
        return _kinds(values.name, known), len(known)
    if hints and named(RATINGS, [values.name]) and known.cast(pl.Float64, strict=False).count() == len(known):
        return f'every row counts alike; choose with --where "{values.name}>=..."', len(known)
    example = str(known[0])[:30]
    return (f"always {example}" if distinct == 1 else f"{distinct:,} values, such as {example}"), len(known)


def _kinds(name: str, known: pl.Series) -> str:
    """List the kinds of events, which all have equal weight, and the flag that selects among them."""
    counts = known.value_counts(sort=True).rows()
    kinds = [str(value) for value, _ in counts]
    chosen = next((kind for wish in WISHED for kind in kinds if wish in kind.casefold()), kinds[0])
    listed = ", ".join(f"{value} {count:,}" for value, count in counts)
    return f'every kind counts alike: {listed}; choose with --where "{name}={chosen}"'
