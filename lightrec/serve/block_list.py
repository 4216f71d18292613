"""The file of ``--block``: items that nobody is recommended."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from lightrec.errors import DataError
from lightrec.runtime.recommender import Recommender

MAX_IDS_SHOWN = 3
"""Unknown ids that a sentence names."""
MAX_IDS_COMPARED = 20_000
"""Items among which a near id is looked for: it takes a second for a million."""


def read_block_list(path: Path) -> list[str]:
    """The ids in the file ``path``, one a line; spaces around them and empty lines do not count.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} given to --block is missing or not UTF-8 text: list one id a line.") from None
    return [line.strip() for line in lines if line.strip()]


def unknown_ids(blocked: Sequence[str], recommender: Recommender) -> str | None:
    """Name the ids that the bundle does not know, each with the one that it may be meant to be; None without any."""
    unknown = [item for item in dict.fromkeys(blocked) if item not in recommender]
    if not unknown:
        return None
    named = ", ".join(_with_near(item, recommender.item_ids) for item in unknown[:MAX_IDS_SHOWN])
    return f"{named} and {len(unknown) - MAX_IDS_SHOWN:,} more" if len(unknown) > MAX_IDS_SHOWN else named


def _with_near(item: str, item_ids: Sequence[str]) -> str:
    near = difflib.get_close_matches(item, item_ids, n=1) if len(item_ids) <= MAX_IDS_COMPARED else []
    return f"{item!r} (did you mean {near[0]!r}?)" if near else repr(item)
