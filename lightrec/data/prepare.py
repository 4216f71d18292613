"""From a file of interactions to a prepared data set.

What happens, in this order, and always the same for the same input:

1. Ids are read as text; users and items are numbered by their first appearance in the file.
2. Rows are sorted by user, time and, where times are equal, their place in the file (the tie key).
3. An event that repeats the item of the user's event before it is dropped, then users and items with fewer than k
   events (k-core). Dropping an item can bring equal neighbours together, and dropping a repeat can take an item below
   k, so both are done again until neither drops anything: the result has both properties.
4. Items keep the order of their numbers, users too; items that nobody is left with are dropped from the catalogue.

A user with one event is dropped by the k-core; without it (``k_core=0``) such a user is kept and trained on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.data.columns import ColumnFlags, find_column, require_column
from lightrec.data.dataset import Dataset, require_free, write_dataset
from lightrec.data.frames import pl
from lightrec.data.item_texts import ItemTexts, read_item_texts
from lightrec.data.readers import ReadOptions, Table, as_ids
from lightrec.data.shapes import one_event_a_row
from lightrec.data.times import POSITIONS, Times, parse_times
from lightrec.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Events:
    """Interactions as numbers, one entry per event."""

    users: np.ndarray
    """int64 ``[events]``: indices into the user ids."""
    items: np.ndarray
    """int64 ``[events]``: indices into the item ids."""
    key: np.ndarray
    """int64 or float64 ``[events]``: what a user's events are sorted by."""
    seconds: np.ndarray
    """int64 ``[events]``: the times to be stored."""

    def __len__(self) -> int:
        return len(self.users)

    def take(self, chosen: np.ndarray) -> Events:
        """The events at the positions ``chosen`` (integers or a boolean mask)."""
        return Events(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def prepare(
    interactions: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    items: str | Path | None = None,
    name: str | None = None,
    columns: ColumnFlags | None = None,
    reading: ReadOptions = ReadOptions(),
    reading_items: ReadOptions = ReadOptions(flags="--items-"),
    k_core: int = 5,
    drop_repeats: bool = True,
    order_only: bool = False,
    time_format: str | None = None,
    reuse_ids: str | Path | None = None,
    details: dict[str, Any] | None = None,
) -> Dataset:
    """Prepare ``interactions`` (and the texts in ``items``) into the folder ``out``; see the module for the steps.

    Args:
        interactions: a file with a user and an item column and, usually, a time column. Without one, the order of
            the rows is the order of events and the data set is marked order-only. A folder of parts, or several
            files, are read as one.
        out: the folder to write; an earlier prepared data set there is replaced.
        items: a file with an item column and text columns.
        name: the data set's name; by default the name of the folder ``out``.
        columns: columns that do not have a usual name.
        reading: how to read ``interactions``, where that cannot be recognised.
        reading_items: the same for ``items``.
        k_core: least number of events of every user and item; 0 or 1 keeps all.
        drop_repeats: drop an event whose item equals that of the user's event before it.
        order_only: the times are positions, not times: keep their order alone.
        time_format: the unit or format of the times (see :func:`~lightrec.data.times.parse_times`).
        reuse_ids: an earlier prepared data set. Its items keep their indices and new ones follow; an item that has no
            interactions any more keeps its place and its text.
        details: further keys of dataset.json.

    Raises:
        DataError: for input that cannot be used, naming the file, row or column.
        ConfigError: if ``k_core`` is negative.
    """
    if k_core < 0:
        raise ConfigError(f"--k-core is {k_core}: it must be 0 or more.")
    require_free(Path(out))
    flags = columns or ColumnFlags()
    old = Dataset.open(reuse_ids) if reuse_ids is not None else None
    table = Table(interactions, reading)
    items_table = Table(items, reading_items) if items is not None else None
    catalogue = read_item_texts(items_table, flags) if items_table is not None else None
    events, user_ids, item_ids, source = _read_events(table, flags, time_format)
    if catalogue is not None and items_table is not None:
        _require_overlap(item_ids, catalogue, table.file, items_table.file)

    order_only = order_only or source["time"] is None or source["time_unit"] == POSITIONS
    kept, dropped = _filter(_sort(events), k_core, drop_repeats, table.file)
    kept_users, users = np.unique(kept.users, return_inverse=True)
    kept_items, used = np.unique(kept.items, return_inverse=True)
    final_ids, place = _number_items(item_ids.gather(kept_items).to_list(), old)
    titles, texts = _texts(final_ids, catalogue, old)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(kept_users)))])
    described = {
        "source": {
            "interactions": table.file,
            "items": items_table.file if items_table is not None else None,
            "reading": [*table.notes, *(items_table.notes if items_table is not None else [])],
            "columns": source | {"items": catalogue.columns if catalogue is not None else None},
            "rows": len(events),
            "users": len(user_ids),
            "items_seen": len(item_ids),
        },
        "options": {
            "k_core": k_core,
            "drop_repeats": drop_repeats,
            "order_only": order_only,
            "reuse_ids": old.checksum if old is not None else None,
        },
        "dropped": dropped | _dropped_rows(final_ids, catalogue),
        "notes": {
            "users_with_one_event": int((np.diff(offsets) == 1).sum()),
            "items_without_text": texts.count(None),
            "items_missing_from_catalogue": len(set(final_ids).difference(catalogue.ids)) if catalogue else 0,
            "items_without_interactions": len(final_ids) - len(kept_items),
            "items_new": len(final_ids) - old.n_items if old is not None else None,
        },
    }
    return write_dataset(
        out,
        name=name or Path(out).resolve().name,
        user_ids=user_ids.gather(kept_users).to_list(),
        item_ids=final_ids,
        item_texts=texts,
        item_titles=titles,
        offsets=offsets,
        items=place[used],
        timestamps=np.arange(len(kept)) - offsets[users] if order_only else kept.seconds,
        order_only=order_only,
        details=(details or {}) | described,
    )


def _read_events(
    table: Table, flags: ColumnFlags, time_format: str | None
) -> tuple[Events, pl.Series, pl.Series, dict[str, Any]]:
    """All events in the order of the file, the ids of users and items, and the columns that they came from."""
    user = require_column("user", flags.user, table.columns, table.file)
    item = require_column("item", flags.item, table.columns, table.file)
    time = find_column("time", flags.time, table.columns, table.file)
    frame = table.read([user, item] if time is None else [user, item, time])
    frame = one_event_a_row(frame, item, table)
    users, user_ids = _number(as_ids(frame[user], table.file))
    items, item_ids = _number(as_ids(frame[item], table.file))
    if time is None:
        places = np.arange(len(frame))
        times = Times(key=places, seconds=places, unit="order of rows")
    else:
        times = parse_times(frame[time], table.file, time_format)
    events = Events(users=users, items=items, key=times.key, seconds=times.seconds)
    columns = {"user": user, "item": item, "time": time, "time_unit": times.unit, "notes": list(times.notes)}
    return events, user_ids, item_ids, columns


def _number(ids: pl.Series) -> tuple[np.ndarray, pl.Series]:
    """An index for each row (int64) and the distinct ids, both by first appearance."""
    distinct = ids.unique(maintain_order=True).alias("id")
    numbered = distinct.to_frame().with_row_index("index")
    rows = ids.alias("id").to_frame().join(numbered, on="id", how="left", maintain_order="left")
    return rows["index"].cast(pl.Int64).to_numpy(), distinct


def _sort(events: Events) -> Events:
    """By user, then time, then place in the file: numpy's lexsort is stable."""
    return events.take(np.lexsort((events.key, events.users)))


def _filter(events: Events, k_core: int, drop_repeats: bool, file: str) -> tuple[Events, dict[str, int]]:
    """Drop repeats and apply the k-core until neither drops anything; also the counts of what was dropped."""
    users, items, read = len(np.unique(events.users)), len(np.unique(events.items)), len(events)
    repeats, before = 0, -1
    while len(events) != before:
        before = len(events)
        if drop_repeats:
            events = events.take(~_repeats(events))
            repeats += before - len(events)
        events = events.take(_frequent(events.users, k_core) & _frequent(events.items, k_core))
    if not len(events):
        raise DataError(
            f"Nothing of {file} is left: no group of its {users:,} users and {items:,} items has {k_core} events "
            f"each ({read:,} interactions read, {repeats:,} of them repeats): give a smaller --k-core."
        )
    return events, {
        "consecutive_repeats": repeats,
        "interactions_by_k_core": read - repeats - len(events),
        "users_by_k_core": users - len(np.unique(events.users)),
        "items_by_k_core": items - len(np.unique(events.items)),
    }


def _repeats(events: Events) -> np.ndarray:
    """Which events have the user and the item of the event before them."""
    same = (events.users[1:] == events.users[:-1]) & (events.items[1:] == events.items[:-1])
    return np.concatenate([[False], same])[: len(events)]


def _frequent(indices: np.ndarray, least: int) -> np.ndarray:
    """Which events belong to a user (or item) with at least ``least`` events."""
    return np.bincount(indices)[indices] >= least


def _require_overlap(item_ids: pl.Series, catalogue: ItemTexts, file: str, items_file: str) -> None:
    if not item_ids.is_in(catalogue.ids.implode()).any():
        raise DataError(
            f"No item of {file} (such as {item_ids[0]!r}) is in {items_file} (such as {catalogue.ids[0]!r}): "
            "check that both have the same kind of ids, or name the column with --item-column."
        )


def _number_items(ids: list[str], old: Dataset | None) -> tuple[list[str], np.ndarray]:
    """The catalogue's ids, the old ones first, and the index of each of ``ids`` in it (int64)."""
    if old is None:
        return ids, np.arange(len(ids))
    known = set(old.item_ids)
    catalogue = [*old.item_ids, *(item for item in ids if item not in known)]
    places = {item: place for place, item in enumerate(catalogue)}
    return catalogue, np.array([places[item] for item in ids])


def _texts(
    ids: list[str], catalogue: ItemTexts | None, old: Dataset | None
) -> tuple[list[str | None], list[str | None]]:
    """Titles and texts of ``ids``: what the items file says, else what the old data set said, else None."""
    titles: dict[str, str | None] = {}
    texts: dict[str, str | None] = {}
    if old is not None:
        titles |= zip(old.item_ids, old.item_titles, strict=True)
        texts |= zip(old.item_ids, old.item_texts, strict=True)
    if catalogue is not None:
        known = catalogue.texts.is_not_null()
        kept = catalogue.ids.filter(known).to_list()
        titles |= zip(kept, catalogue.titles.filter(known), strict=True)
        texts |= zip(kept, catalogue.texts.filter(known), strict=True)
    return [titles.get(item) for item in ids], [texts.get(item) for item in ids]


def _dropped_rows(final_ids: list[str], catalogue: ItemTexts | None) -> dict[str, int]:
    """Rows of the items file that are not used, by reason."""
    if catalogue is None:
        return {"catalogue_items_without_interactions": 0, "catalogue_duplicate_ids": 0}
    used = len(set(final_ids).intersection(catalogue.ids))
    return {
        "catalogue_items_without_interactions": len(catalogue.ids) - used,
        "catalogue_duplicate_ids": catalogue.duplicates,
    }
