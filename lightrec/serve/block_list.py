"""The file of ``--block``: items never to recommend."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from lightrec.errors import DataError
from lightrec.runtime.recommender import Recommender

MAX_IDS_SHOWN = 3
"""The most unknown ids that a message names."""
MAX_IDS_COMPARED = 20_000
"""The largest catalogue that is searched for similar ids; the search takes a second for a million."""


def read_block_list(path: Path) -> list[str]:
    """Read the ids in the file ``path``, one per line; surrounding spaces and empty lines are ignored.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} given to --block is missing or not UTF-8 text: list one id a line.") from None
    return [line.strip() for line in lines if line.strip()]


def unknown_ids(blocked: Sequence[str], recommender: Recommender) -> str | None:
    """Return a message with the unknown ids, each with a similar known id; None if the bundle knows all of them."""
    unknown = [item for item in dict.fromkeys(blocked) if item not in recommender]
    if not unknown:
        return None
    named = ", ".join(_with_near(item, recommender.item_ids) for item in unknown[:MAX_IDS_SHOWN])
    return f"{named} and {len(unknown) - MAX_IDS_SHOWN:,} more" if len(unknown) > MAX_IDS_SHOWN else named


def _with_near(item: str, item_ids: Sequence[str]) -> str:
    near = difflib.get_close_matches(item, item_ids, n=1) if len(item_ids) <= MAX_IDS_COMPARED else []
    return f"{item!r} (did you mean {near[0]!r}?)" if near else repr(item)
