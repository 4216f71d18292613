"""The choice of the user, item and title columns: named by a flag, or recognised by a usual name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lightrec.data.columns.usual_names import (
    BARE_ITEMS,
    FURTHER_TEXT,
    ITEMS,
    SAME_THING,
    SESSIONS,
    TITLES,
    USERS,
    base,
    listed,
    named,
    plain,
)
from lightrec.errors import DataError


@dataclasses.dataclass(frozen=True)
class ColumnFlags:
    """Columns named by the user; the others are recognised by their usual names."""

    user: str | None = None
    """Column of the users in the interactions (``--user-column``)."""
    item: str | None = None
    """Column of the items in both files (``--item-column``)."""
    time: str | None = None
    """Column of the times in the interactions (``--time-column``)."""
    text: tuple[str, ...] = ()
    """Columns of the items' texts, the title first (``--text-column``, repeatable)."""
    items_id: str | None = None
    """Column of the ids in the items file, if it has another name there (``--items-id-column``)."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The column that plays a role."""

    column: str
    notes: tuple[str, ...] = ()
    """Sentences that name the other possible columns."""


def choose_user(flag: str | None, columns: Sequence[str], file: str) -> Choice:
    """Return the column of the users, or of the sessions where there is none.

    Raises:
        DataError: if the column named by ``flag`` is missing, none is recognised, or two names differ only in
            case and punctuation.
    """
    if flag is not None:
        return Choice(require_named("user", flag, columns, file))
    found = named((*USERS, *SESSIONS), columns)
    if not found:
        raise _not_recognised("user", columns, file)
    return Choice(_first("user", (*USERS, *SESSIONS), found, file), _others("user", found))


def choose_item(flag: str | None, columns: Sequence[str], file: str) -> Choice:
    """Return the column of the items.

    Raises:
        DataError: as in :func:`choose_user`, and if columns of several things are recognised (a track, its artist).
    """
    if flag is not None:
        return Choice(require_named("item", flag, columns, file))
    found = named(ITEMS, columns)
    if not found:
        raise _not_recognised("item", columns, file)
    things = {SAME_THING.get(base(column, ITEMS), column) for column in found}
    if len(things) > 1 and SAME_THING.get(base(found[0], ITEMS)) != "item":
        raise DataError(
            f"{file} has several columns that may be the item ({', '.join(found)}): choose one with --item-column."
        )
    return Choice(_first("item", ITEMS, found, file), _others("item", found))


def choose_items_id(flags: ColumnFlags, item: str | None, columns: Sequence[str], file: str) -> str:
    """Return the column of the ids in an items file.

    It is the column named by ``--items-id-column``; else, if the file has it, the column named by ``--item-column`` or
    ``item``, its name in the interactions; else a column with a usual name, including ``id``.

    Raises:
        DataError: if there is no such column.
    """
    if flags.items_id is not None:
        return require_named("items-id", flags.items_id, columns, file)
    for name in (flags.item, item):
        if name is not None and name in columns:
            return name
    found = named((plain(item),), columns) if item is not None else []
    ids = [name for name in ITEMS if name not in BARE_ITEMS]
    found = found or named((*ids, "id", "code", "key", *BARE_ITEMS), columns)
    if not found:
        raise DataError(
            f"{file} has no column recognised as the item (its columns: {listed(columns)}): "
            "name it with --items-id-column."
        )
    return _first("items-id", ITEMS, found, file)


def text_columns(flags: Sequence[str], columns: Sequence[str], file: str) -> list[str]:
    """Return the columns of an items file that make up an item's text, the title first; empty if there are none."""
    if flags:
        return [require_named("text", name, columns, file) for name in flags]
    title = named(TITLES, columns)[:1]
    further = [column for name in FURTHER_TEXT for column in named((name,), columns)[:1]]
    return list(dict.fromkeys([*title, *further]))


def require_named(role: str, name: str, columns: Sequence[str], file: str) -> str:
    """Return ``name`` if it is one of ``columns``; else raise :class:`DataError` about ``--<role>-column``."""
    if name not in columns:
        raise DataError(f"{file} has no column {name!r}, which --{role}-column names (its columns: {listed(columns)}).")
    return name


def _not_recognised(role: str, columns: Sequence[str], file: str) -> DataError:
    return DataError(
        f"{file} has no column recognised as the {role} (its columns: {listed(columns)}): name it with --{role}-column."
    )


def _first(role: str, usual: Sequence[str], found: Sequence[str], file: str) -> str:
    """Return the most specific column; refuse another whose name differs only in case, punctuation or "list"."""
    alike = [column for column in found if base(column, usual) == base(found[0], usual)]
    if len(alike) > 1:
        raise DataError(f"{file} has several columns {' and '.join(alike)}: choose one with --{role}-column.")
    return found[0]


def _others(role: str, found: Sequence[str]) -> tuple[str, ...]:
    if len(found) == 1:
        return ()
    return (
        f"The {role} is taken from {found[0]!r}, not from {' or '.join(map(repr, found[1:]))} "
        f"(choose with --{role}-column).",
    )
