"""Measure this core's memory bandwidth: read a block of the item table's size once, in several plain ways.

Which way is fastest depends on the processor; the shortest time is a lower bound for any exact answer that reads
the whole table. See :mod:`lightrec.benchmarks.project.speed_table`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from lightrec.benchmarks.workers.worker_protocol import own_channel, serve

PIECE = 2**17
"""Bytes copied at a time: the copy stays in the processor's cache, so memory is only read."""


def main() -> None:
    """Fill a block of ``bytes`` and answer tasks: each call reads it once."""
    channel = own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    words = np.arange(request["bytes"] // 8, dtype=np.uint64)
    floats = words.view(np.float32)
    floats[:] = 1
    small = np.empty(PIECE // 8, dtype=np.uint64)
    whole = len(words) // len(small) * len(small)
    pieces = words[:whole].reshape(-1, len(small)) if whole else words[None, :]

    def copy(_: object) -> None:
        for piece in pieces:
            np.copyto(small[: len(piece)], piece)

    ways = {
        "copy": copy,
        "sum": lambda _: words.sum(),
        "largest": lambda _: words.view(np.int8).max(),
        "or": lambda _: np.bitwise_or.reduce(words),
        "product": lambda _: floats @ floats,
    }
    serve(channel, {name: (way, [None]) for name, way in ways.items()}, {"bytes": words.nbytes})


if __name__ == "__main__":
    main()
