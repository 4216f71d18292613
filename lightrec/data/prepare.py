"""Preparation of a data set from a file of interactions.

The steps, in this order; the same input always gives the same result:

1. Ids are read as text; users and items are numbered by their first appearance in the file.
2. Rows are sorted by user, time and, where times are equal, position in the file (the tie key).
3. Events with the same item as the user's previous event are dropped, then users and items with fewer than k events
   (k-core). Dropping an item can make equal items consecutive, and dropping a repeat can take an item below k, so both
   steps are repeated until neither drops anything: the result has both properties.
4. Users and items keep the order of their numbers; items without any remaining event are dropped from the catalogue.

A user with one event is dropped by the k-core; without it (``k_core=0``) such a user is kept and trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.data.columns.choice import ColumnFlags
from lightrec.data.columns.summary import describe_catalogue, describe_log
from lightrec.data.dataset import Dataset, require_free, write_dataset
from lightrec.data.events import EventOptions, Log, read_events
from lightrec.data.filters import filter_events, sort_events
from lightrec.data.item_texts import ItemTexts, read_item_texts
from lightrec.data.reading.polars_import import pl
from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.errors import ConfigError, DataError


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
    where: Sequence[str] = (),
    keep_na_ids: bool = False,
    reuse_ids: str | Path | None = None,
    details: dict[str, Any] | None = None,
) -> Dataset:
    """Prepare ``interactions`` (and the texts in ``items``) into the folder ``out``; the module lists the steps.

    Args:
        interactions: a file with a user and an item column and, usually, a time column. Without one, the order of
            the rows is the order of events and the data set is marked order-only. A folder of parts, or several
            files, are read as one.
        out: the folder to write; an earlier prepared data set there is replaced.
        items: a file with an item column and text columns.
        name: the data set's name; by default the name of the folder ``out``.
        columns: names of the columns that do not have a usual name.
        reading: how to read ``interactions``, where the format cannot be recognised.
        reading_items: how to read ``items``.
        k_core: least number of events of every user and item; 0 or 1 keeps all.
        drop_repeats: drop each event with the same item as the user's previous event.
        order_only: the times are only positions: keep only their order.
        time_format: the unit or format of the times (see :func:`~lightrec.data.times.convert.parse_times`).
        where: conditions such as ``rating>=4`` that all must hold for a row (see
            :mod:`lightrec.data.columns.conditions`).
        keep_na_ids: treat texts such as "None" and "NA" as ids; otherwise rows with them are left out.
        reuse_ids: an earlier prepared data set. Its items keep their indices and new items follow; an item without
            interactions in the new log keeps its index and its text.
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
    log = read_events(table, EventOptions(flags, tuple(where), time_format, order_only, keep_na_ids))
    catalogue = None
    if items_table is not None:
        catalogue = read_item_texts(items_table, flags, log.item, keep_na_ids=keep_na_ids)
        _require_overlap(log.item_ids, catalogue, table.file, items_table.file)

    order_only = order_only or log.times.order_only
    kept, dropped = filter_events(sort_events(log.events), k_core, drop_repeats, table.file)
    kept_users, users = np.unique(kept.users, return_inverse=True)
    kept_items, used = np.unique(kept.items, return_inverse=True)
    final_ids, place = _number_items(log.item_ids.gather(kept_items).to_list(), old)
    titles, texts = _texts(final_ids, catalogue, old)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(kept_users)))])
    described = {
        "source": {
            "interactions": table.file,
            "items": items_table.file if items_table is not None else None,
            "reading": [*table.notes, *log.notes, *_catalogue_notes(items_table, catalogue)],
            "columns": _roles(log, catalogue),
            "every_column": [*describe_log(table, log), *describe_catalogue(items_table, catalogue)],
            "rows": log.rows,
            "users": len(log.user_ids),
            "items_seen": len(log.item_ids),
        },
        "options": {
            "k_core": k_core,
            "drop_repeats": drop_repeats,
            "order_only": order_only,
            "where": list(where),
            "time_format": time_format,
            "reuse_ids": old.checksum if old is not None else None,
        },
        "dropped": {"rows_by_where": log.not_chosen, "rows_without_id": log.without_id}
        | dropped
        | _dropped_rows(final_ids, catalogue),
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
        user_ids=log.user_ids.gather(kept_users).to_list(),
        item_ids=final_ids,
        item_texts=texts,
        item_titles=titles,
        offsets=offsets,
        items=place[used],
        timestamps=np.arange(len(kept)) - offsets[users] if order_only else kept.seconds,
        order_only=order_only,
        details=(details or {}) | described,
    )


def _roles(log: Log, catalogue: ItemTexts | None) -> dict[str, Any]:
    return {
        "user": log.user,
        "item": log.item,
        "time": log.time.column,
        "clock": log.time.clock,
        "time_unit": log.times.unit,
        "items": catalogue.columns if catalogue is not None else None,
    }


def _catalogue_notes(table: Table | None, catalogue: ItemTexts | None) -> list[str]:
    return [*table.notes, *catalogue.notes] if table is not None and catalogue is not None else []


def _require_overlap(item_ids: pl.Series, catalogue: ItemTexts, file: str, items_file: str) -> None:
    if not item_ids.is_in(catalogue.ids.implode()).any():
        raise DataError(
            f"No item of {file} (such as {item_ids[0]!r}) is in {items_file} (such as {catalogue.ids[0]!r}): "
            "check that both have the same kind of ids, or name the column with --item-column or --items-id-column."
        )


def _number_items(ids: list[str], old: Dataset | None) -> tuple[list[str], np.ndarray]:
    """Return the catalogue's ids, the old ones first, and the index in it of each of ``ids`` (int64)."""
    if old is None:
        return ids, np.arange(len(ids))
    known = set(old.item_ids)
    catalogue = [*old.item_ids, *(item for item in ids if item not in known)]
    places = {item: place for place, item in enumerate(catalogue)}
    return catalogue, np.array([places[item] for item in ids])


def _texts(
    ids: list[str], catalogue: ItemTexts | None, old: Dataset | None
) -> tuple[list[str | None], list[str | None]]:
    """Return titles and texts of ``ids``: from the items file, else from the old data set, else None."""
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
    """Count the unused rows of the items file by reason."""
    if catalogue is None:
        return {"catalogue_items_without_interactions": 0, "catalogue_duplicate_ids": 0, "catalogue_without_id": 0}
    used = len(set(final_ids).intersection(catalogue.ids))
    return {
        "catalogue_items_without_interactions": len(catalogue.ids) - used,
        "catalogue_duplicate_ids": catalogue.duplicates,
        "catalogue_without_id": catalogue.without_id,
    }
