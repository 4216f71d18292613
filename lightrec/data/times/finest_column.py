"""Search for a column with the time of day that agrees with a chosen column of days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightrec.data.reading.polars_import import pl
from lightrec.data.times.convert import DAY, parse_times
from lightrec.data.times.errors import is_missing
from lightrec.errors import DataError

if TYPE_CHECKING:
    from lightrec.data.reading.readers import Table

SAMPLE = 500
"""Number of rows compared."""
FARTHEST_ZONE = 14 * 3600
"""Seconds by which the day of a zone begins before that of UTC, or ends after it."""


def find_finer(table: Table, chosen: str, others: Sequence[str]) -> str | None:
    """Return the first of ``others`` with the same days as ``chosen`` and the time of day.

    Returns:
        None if ``chosen`` holds the time of day itself, or no other column agrees with it in every row.
    """
    days = _seconds(table, chosen)
    if days is None or not len(days) or (days[~np.isnan(days)] % DAY != 0).any():
        return None
    return next((other for other in others if _agrees(_seconds(table, other), days)), None)


def _agrees(times: np.ndarray | None, days: np.ndarray) -> bool:
    if times is None:
        return False
    known = ~np.isnan(days)
    apart = times[known] - days[known]  # NaN, which is in no range, where only the day is known
    within = (apart >= -FARTHEST_ZONE) & (apart < DAY + FARTHEST_ZONE)
    return bool(known.any() and within.all() and (times[known] % DAY != 0).any())


def _seconds(table: Table, column: str) -> np.ndarray | None:
    """Return the times of a sample of rows (float64, NaN if missing); None if some cannot be read as dates."""
    values = table.read([column])[column]
    sample = values.gather(np.unique(np.linspace(0, len(values) - 1, SAMPLE).astype(int)))
    given = sample.is_not_null()
    if sample.dtype == pl.String:
        given = pl.Series([not is_missing(value) for value in sample], dtype=pl.Boolean)
    try:
        times = parse_times(sample.filter(given), table.file)
    except DataError:
        return None
    if times.order_only:
        return None
    seconds = np.full(len(sample), np.nan)
    seconds[given.to_numpy()] = times.seconds
    return seconds
