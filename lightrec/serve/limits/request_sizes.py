"""Limit the size of one request, and parse the numbers in its headers.

Together with the limit on the body, this keeps one request from using the memory or time of thousands.
"""

from __future__ import annotations

import re

from lightrec.errors import DataError

MAX_K = 1000
"""The largest k."""
MAX_USERS = 1024
"""The largest batch."""
MAX_IDS = 65_536
"""The most ids in one list: a history, an exclusion, the candidates."""
MAX_ITEMS_RETURNED = 131_072
"""The most items in the answer to one batch, users times k."""
NUMBER = re.compile(r"[0-9]{1,15}")
"""A whole number in a header: only ASCII digits. ``str.isdigit`` also accepts "²", which ``int`` refuses."""


def whole_number(header: str) -> int | None:
    """Return the number in a header's value; None if it is not a whole number below 10^15."""
    return int(header) if NUMBER.fullmatch(header) else None


def require_size(users: int, k: int) -> None:
    """Raise :class:`DataError` if a batch is too large; check ``users`` and ``k`` one by one as well."""
    if users > MAX_USERS:
        raise DataError(f"The request has {users:,} users: ask for at most {MAX_USERS:,} at once.")
    if not 1 <= k <= MAX_K:
        raise DataError(f"k is {str(k)[:20]}: ask for 1 to {MAX_K:,} items.")
    if users * k > MAX_ITEMS_RETURNED:
        said = f"{users:,} users with k = {k:,} make an answer of {users * k:,} items"
        raise DataError(f"{said}: ask for at most {MAX_ITEMS_RETURNED:,} at once.")
