"""Panics of polars: what damaged content does to it where it does not refuse it by an error of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from lightrec.data.reading.polars_import import pl

PANIC = getattr(pl.exceptions, "PanicException", pl.exceptions.PolarsError)
"""Raised after a panic; it is no PolarsError."""


@contextlib.contextmanager
def quiet_panics() -> Iterator[None]:
    """Keep the stack trace that polars prints of a panic off the standard error stream.

    polars prints before it raises, so what the process writes there meanwhile is held back; it follows at the end if
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
