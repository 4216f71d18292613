"""Answer raw histories by a bundle; see :mod:`lightrec.benchmarks.project.speed_table`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lightrec.benchmarks.workers.worker_protocol import Call, chunks, own_channel, serve
from lightrec.runtime.recommender import Recommender


def main() -> None:
    """Load the bundle that the request file names, answer once, then answer tasks."""
    channel = own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    histories = json.loads(Path(request["histories"]).read_text(encoding="utf-8"))
    recommender, k = Recommender.load(request["bundle"], threads=request["threads"]), request["k"]
    recommender.recommend(histories[0], k)
    calls: dict[str, Call] = {"single": (lambda history: recommender.recommend(history, k), histories)}
    for size in request["batches"]:
        calls[f"batch {size}"] = (lambda batch: recommender.recommend_batch(batch, k), chunks(histories, size))
    serve(channel, calls, {})


if __name__ == "__main__":
    main()
