"""Check a caller's item ids, lists of ids and numbers; each wrong value raises an error of one sentence."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
import uuid
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from lightrec.errors import ConfigError, DataError

MAX_IDS_COMPARED = 50_000
"""The largest catalogue that is searched for ids similar to an unknown one; the search takes a second."""
MAX_CHARACTERS_SHOWN = 200
"""The most characters of a wrong value that a message repeats."""


def item_id(item: Any, name: str) -> str:
    """Return an id as the bundle spells it: text unchanged, whole numbers and UUIDs in their usual form.

    Args:
        item: the caller's id.
        name: what a message calls the list that holds it, such as "history".

    Raises:
        DataError: if it is anything else, such as 50.0, None, True, bytes or a list.
    """
    if isinstance(item, str):
        return str.__str__(item)  # for a member of a string enumeration, its value instead of its name
    if isinstance(item, uuid.UUID):
        return str(item)
    try:
        if not isinstance(item, bool):
            return str(operator.index(item))
    except (TypeError, ValueError):  # not a whole number, or one with more digits than Python converts
        pass
    raise DataError(f"{name} holds {shown(item)}, which is no item id: {_mend(item)}.")


def id_list(items: Iterable[Any], name: str, ordered: bool = False) -> list[str]:
    """Return the ids in a caller's list.

    Args:
        items: any iterable of ids.
        name: what messages call the list.
        ordered: whether the order matters, so that a set is refused.

    Raises:
        DataError: if ``items`` is not a list, or holds something that is not an id.
    """
    if type(items) is not list and type(items) is not tuple:
        items = _iterable(items, name, ordered)
    return [item if type(item) is str else item_id(item, name) for item in items]


def each_of(lists: Iterable[Any], name: str) -> list[Any]:
    """Return the lists in a caller's list, one per user; raise :class:`DataError` if it is not a list."""
    if lists is None or isinstance(lists, str | bytes | bytearray | memoryview | Mapping | Set):
        raise DataError(f"{name} is {shown(lists)}: give a list with one list of item ids for each user.")
    return list(_iterable(lists, name, ordered=True))


def whole_number(k: Any) -> int:
    """Return ``k`` as an int; raise :class:`ConfigError` unless it is a whole number of at least 1.

    NumPy's integers are converted, because sums of the small types overflow.
    """
    if type(k) is int and k >= 1:
        return k
    try:
        number = 0 if isinstance(k, bool) or not hasattr(k, "__index__") else operator.index(k)
    except TypeError:  # an array has an __index__ that fails
        number = 0
    if number < 1:
        raise ConfigError(f"k is {shown(k)}: it must be a whole number of at least 1.")
    return number


def finite(amount: Any) -> float | None:
    """Return a caller's number as a float; None if it is not a number, not finite, or too large for a float."""
    if not isinstance(amount, numbers.Real) or isinstance(amount, bool):
        return None
    try:
        number = float(amount)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_boosts(boost: Mapping[Any, float]) -> tuple[list[str], list[float]]:
    """Return the ids and the numbers of a caller's mapping.

    Raises:
        DataError: if it is not a mapping, a key is not an id or occurs twice, or a value is not a finite number.
    """
    if not isinstance(boost, Mapping):
        raise DataError(f"boost is {shown(boost)}: give a mapping of item ids to numbers, such as {{'50': 0.7}}.")
    amounts: dict[str, float] = {}
    for item, given in boost.items():
        name, amount = item_id(item, "boost"), finite(given)
        if amount is None:
            raise DataError(f"The boost of item {name!r} is {shown(given)}: give a finite number.")
        if name in amounts:
            raise DataError(f"boost holds item {name!r} twice, as a number and as text: leave one out.")
        amounts[name] = amount
    return list(amounts), list(amounts.values())


def unknown_sentence(name: str, unknown: Iterable[str], ids: Sequence[str]) -> str:
    """Return a message that names the first unknown id and the known ids with the most similar spelling."""
    unknown = list(unknown)
    near = difflib.get_close_matches(unknown[0], ids, 3) if len(ids) <= MAX_IDS_COMPARED else []
    meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return f"{name} holds {shown(unknown[0])}{more}, which the bundle does not know{meant}: correct it or leave it out."


def shown(value: Any) -> str:
    """Return a wrong value as a message repeats it: on one line, and short."""
    try:
        text = repr(value)
    except Exception:  # the repr of a caller's own class, or a number with too many digits
        text = f"a {type(value).__name__}"
    if " at 0x" in text:  # a memory address helps no reader
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS_SHOWN else f"{text[:MAX_CHARACTERS_SHOWN]}..."


def _iterable(items: Any, name: str, ordered: bool) -> Iterable[Any]:
    if items is None:
        raise DataError(f"{name} is None: give a list of item ids, [] for none.")
    if isinstance(items, str):
        raise DataError(f"{name} is the string {shown(items)}: give a list of item ids, such as [{shown(items)}].")
    if isinstance(items, bytes | bytearray | memoryview):
        raise DataError(f"{name} is {shown(items)}: decode it, and give a list of item ids.")
    if isinstance(items, Mapping):
        raise DataError(f"{name} is a mapping: give a list of item ids.")
    if ordered and isinstance(items, Set) and not isinstance(items, type({}.keys())):
        raise DataError(f"{name} is a set, which has no order: give a list of item ids, oldest first.")
    try:
        return iter(items)
    except TypeError:
        raise DataError(f"{name} is {shown(items)}: give a list of item ids.") from None


def _mend(item: Any) -> str:
    if isinstance(item, bytes | bytearray | memoryview):
        return "decode bytes to strings"
    if hasattr(item, "__iter__"):
        return "give one flat list of ids"
    number = finite(item)
    if number is not None and number.is_integer() and abs(number) < 2**53:
        return f"give the whole number {number:.0f}, or the text that the catalogue holds"
    return "give strings or whole numbers, and leave out what is missing"
