"""Panics of polars: damaged content can cause one instead of an ordinary error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from lightrec.data.reading.polars_import import pl

PANIC = getattr(pl.exceptions, "PanicException", pl.exceptions.PolarsError)
"""Raised after a panic; it is not a PolarsError."""


@contextlib.contextmanager
def quiet_panics() -> Iterator[None]:
    """Suppress the stack trace that polars prints to the standard error stream on a panic.

    polars prints before it raises, so everything that the process writes there is held back and released at the end if
    there was no panic.
    """
    try:
        sys.stderr.flush()
        stream = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is no such stream
        yield
        return
    panicked = False
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except PANIC:
            panicked = True
            raise
        finally:
            os.dup2(stream, 2)
            os.close(stream)
            held.seek(0)
            if not panicked and (text := held.read()):
                os.write(2, text)
