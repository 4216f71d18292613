"""Answer raw histories by a finished run in torch; see :mod:`lightrec.benchmarks.project.speed_table`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from lightrec.benchmarks.workers.worker_protocol import own_channel, serve


def main() -> None:
    """Load the run that the request file names, then answer tasks."""
    channel = own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    histories, ids, titles = (
        json.loads(Path(request[name]).read_text(encoding="utf-8")) for name in ("histories", "item_ids", "titles")
    )
    import torch

    from lightrec.models.load import load_model
    from lightrec.models.scoring import ModelScorer

    torch.set_num_threads(request["threads"])
    scorer = ModelScorer(load_model(Path(request["run"]))[0].eval())
    index = {item: place for place, item in enumerate(ids)}

    def answer(history: list[str]) -> list[tuple[str, float, str]]:
        seen = np.array([index[item] for item in history])
        scores = scorer.score([seen])
        scores[0, seen] = -np.inf
        best, items = torch.topk(torch.from_numpy(scores[0]), request["k"])
        return [(ids[item], score, titles[item]) for item, score in zip(items.tolist(), best.tolist(), strict=True)]

    serve(channel, {"single": (answer, histories)}, {"parameters": sum(w.numel() for w in scorer.model.parameters())})


if __name__ == "__main__":
    main()
