"""The choice of the user, item and time columns together; one error names everything that is missing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightrec.data.columns.choice import Choice, ColumnFlags, choose_item, choose_user, require_named
from lightrec.data.columns.usual_names import (
    BASKETS,
    FOREIGN_ITEMS,
    FOREIGN_USERS,
    ITEM_WORDS,
    ITEMS,
    SESSIONS,
    TITLES,
    USER_WORDS,
    USERS,
    is_other_time,
    listed,
    named,
    plain,
    words,
)
from lightrec.data.times.choose_column import NO_TIMES, TimeChoice, choose_time, kind_of_values
from lightrec.data.times.errors import the_format
from lightrec.errors import DataError

if TYPE_CHECKING:
    from lightrec.data.reading.readers import Table

NO_IDS = {"agent", "answer", "type", "age", "gender", "count", "rating", "price", "category", "group", "quantity"}
"""Words of columns that describe a user or an item: user_agent, product_category."""
CREATORS = {"artist", "album"}
"""Words of columns that are proposed as items where there is no track."""


def choose_roles(table: Table, flags: ColumnFlags, order_only: bool) -> tuple[Choice, Choice, TimeChoice]:
    """Choose the columns of the user, the item and the time of a log.

    Raises:
        DataError: if one of them is missing or unclear, or one column would play two roles.
    """
    columns = _single(table.columns)
    roles = {"user": (flags.user, (*USERS, *SESSIONS)), "item": (flags.item, ITEMS)}
    known: dict[str, str | None] = {}
    for role, (flag, usual) in roles.items():
        recognised = named(usual, columns)
        known[role] = require_named(role, flag, table.columns, table.file) if flag else next(iter(recognised), None)
    if None in known.values():
        raise _not_recognised(table, flags, known, order_only)
    user = choose_user(flags.user, table.columns if flags.user else columns, table.file)
    item = choose_item(flags.item, table.columns if flags.item else columns, table.file)
    time = choose_time(table, flags.time, [user.column, item.column], order_only)
    if user.column == item.column or time.column in (user.column, item.column):
        raise DataError(
            f"One column of {table.file} cannot be two things (user {user.column!r}, item {item.column!r}, time "
            f"{time.column!r}): name others with --user-column, --item-column and --time-column."
        )
    return user, item, time


def _single(columns: Sequence[str]) -> list[str]:
    """Return the columns that are not objects; the fields of objects are columns themselves."""
    objects = {column[:place] for column in columns for place, sign in enumerate(column) if sign == "."}
    return [column for column in columns if column not in objects]


def _not_recognised(table: Table, flags: ColumnFlags, known: dict[str, str | None], order_only: bool) -> DataError:
    missing = [role for role, column in known.items() if column is None]
    if known["item"] is None and len(_numbered(table.columns)) * 2 > len(table.columns):
        return DataError(
            f"{table.file} has one column for each item ({listed(table.columns, 4)}): write one row for each event, in "
            "pandas with melt."
        )
    taken = [column for column in (*known.values(), flags.time) if column is not None]
    proposal = []
    for role in missing:
        likely = _likely(role, [column for column in _single(table.columns) if column not in taken])
        taken += likely[:1]
        proposal.append(f"--{role}-column {shlex.quote(likely[0]) if likely else 'NAME'}")
    if flags.time is None and not order_only:
        proposal += _time_flags(table, taken)
    return DataError(
        f"{table.file} has no column recognised as the {' or the '.join(missing)} (its columns: "
        f"{listed(table.columns)}): name {'it' if len(missing) == 1 else 'them'} with {' '.join(proposal)}"
        f"{_other_file(table, known)}."
    )


def _numbered(columns: Sequence[str]) -> list[str]:
    """Return the largest group of columns, at least three, whose names differ only in a final number."""
    stems = [re.sub(r"[\W_]*\d+$", "", column) for column in columns]
    numbered = [stem for stem, column in zip(stems, columns, strict=True) if stem != column]
    most = max(numbered, key=numbered.count, default="")
    group = [column for stem, column in zip(stems, columns, strict=True) if stem == most != column]
    return group if len(group) > 2 else []


def _likely(role: str, columns: Sequence[str]) -> list[str]:
    """Return columns that may fit a role: object fields with a usual name, names with a typical word, foreign names."""
    user = role == "user"
    usual, telling, foreign = (
        ((*USERS, *SESSIONS), USER_WORDS, FOREIGN_USERS) if user else (ITEMS, ITEM_WORDS, FOREIGN_ITEMS)
    )
    inner = {column.rpartition(".")[2]: column for column in reversed(columns)}
    found = [
        *(inner[name] for name in named(usual, list(inner))),
        *(named(BASKETS, columns) if user else ()),
        *(column for column in columns if telling & set(words(column))),
        *(column for column in columns if any(part in plain(column) for part in foreign)),
    ]
    found = [column for column in found if not NO_IDS & set(words(column))]
    ids = [column for column in found if plain(column).endswith(("id", "uri", "nummer", "code", "key"))]
    return sorted(dict.fromkeys([*ids, *found]), key=lambda column: bool(CREATORS & set(words(column))))


def _time_flags(table: Table, taken: Sequence[str]) -> list[str]:
    """Return the flags that name the time column and its format, where these are not recognised."""
    try:
        column = choose_time(table, None, taken, False).column
        flags = []
    except DataError:
        rest = [one for one in table.columns if one not in taken and not is_other_time(one)]
        rest = [one for one in rest if not plain(one).endswith(NO_TIMES)]
        dates = [one for one in rest if kind_of_values(table.read([one])[one]) == "dates"]
        column = next(iter(dates), None)
        flags = [f"--time-column {shlex.quote(column)}"] if column is not None else []
    form = the_format(table.read([column])[column]) if column is not None else None
    return [*flags, f"--time-format {shlex.quote(form)}"] if form is not None else flags


def _other_file(table: Table, known: dict[str, str | None]) -> str:
    """Say what else the file may be if every user or every item in it occurs once."""
    role, column = next(((role, column) for role, column in known.items() if column is not None), ("", None))
    if column is None or table.read([column])[column].is_duplicated().any():
        return ""
    if role == "item" and named(TITLES, table.columns):
        return "; every item occurs once, so if this is the file of items, give it with --items beside the log"
    return f"; every {role} occurs once, so it may be a file of {role}s in place of the log"
