"""Logs of other shapes than one row an event, to one row an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightrec.data.frames import pl

if TYPE_CHECKING:
    from lightrec.data.readers import Table


def one_event_a_row(frame: pl.DataFrame, item: str, table: Table) -> pl.DataFrame:
    """Give every element of the lists in the column ``item`` a row of its own, with the values of its row.

    Further columns that hold lists must have as many elements, in the same order. A note on what was done is added to
    ``table.notes``. A frame whose ``item`` holds no lists comes back as it is.

    Raises:
        DataError: naming the first row (counted from 1) whose lists differ in length.
    """
    return frame
