"""Answer raw histories by RecTools' SASRec; see :mod:`lightrec.benchmarks.measure`.

The interpreter of another virtual environment runs this file, which imports nothing of lightrec and needs only
``rectools[torch]``. The weights come from one pass over synthetic sessions, which does not affect times. RecTools'
``recommend`` requires a table of all users, so the model is called directly in torch, with the item vectors computed
once; raw ids, the filter of seen items, the top k and titles are added in the simplest way.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    """Build the model that the request file describes, then answer tasks."""
    protocol = _beside("worker_protocol")
    channel = protocol.own_channel()
    warnings.simplefilter("ignore")
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    histories, ids, titles = (json.loads(Path(request[name]).read_text(encoding="utf-8")) for name in LISTS)

    import numpy as np
    import rectools
    import torch

    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    model = _fitted(request, len(ids))
    module = model.lightning_model.eval()
    # Number 0 is padding; the others are in the order in which RecTools read them.
    known = model.data_preparator.item_id_map.get_external_sorted_by_internal()[1:].tolist()
    number = {ids[item]: place for place, item in enumerate(known, start=1)}
    length, k = request["max_length"], request["k"]
    with torch.inference_mode():
        vectors = module.torch_model.item_model.get_all_embeddings()

    def answer(histories: list[list[str]]) -> list[list[tuple[str, float, str]]]:
        sessions = [[number[item] for item in history] for history in histories]
        padded = np.zeros((len(sessions), length), dtype=np.int64)
        for row, session in zip(padded, sessions, strict=True):
            recent = session[-length:]
            row[length - len(recent) :] = recent
        with torch.inference_mode():
            states = module.torch_model.encode_sessions({"x": torch.from_numpy(padded)}, vectors)[:, -1]
            scores = states @ vectors.T
            scores[:, 0] = -torch.inf
            for row, session in enumerate(sessions):
                scores[row, session] = -torch.inf
            best, found = torch.topk(scores, k, dim=1)
        return [
            [(ids[known[item - 1]], score, titles[known[item - 1]]) for item, score in zip(*row, strict=True)]
            for row in zip(found.tolist(), best.tolist(), strict=True)
        ]

    calls = {"single": (lambda history: answer([history]), histories)}
    for size in request["batches"]:
        calls[f"batch {size}"] = (answer, protocol.chunks(histories, size))
    protocol.serve(channel, calls, {"versions": {"rectools": rectools.VERSION, "torch": torch.__version__}})


LISTS = ("histories", "item_ids", "titles")
"""Keys of the request that name JSON files."""


def _fitted(request: dict[str, Any], n_items: int) -> Any:
    """Fit a model of the requested shape on data that holds every item once."""
    import numpy as np
    import pandas as pd
    import pytorch_lightning
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    length = request["max_length"]
    items = np.arange(n_items + n_items % 2)  # at least two sessions of at least two items each
    items[items >= n_items] = 0
    users = np.minimum(np.arange(len(items)) // length, max(0, len(items) // length - 1))
    events = pd.DataFrame(
        {"user_id": users, "item_id": items, "weight": 1.0, "datetime": pd.to_datetime(np.arange(len(items)), unit="s")}
    )
    model = SASRecModel(
        n_factors=request["hidden_size"],
        n_blocks=request["num_layers"],
        n_heads=request["num_heads"],
        session_max_len=length,
        epochs=1,
    )
    model._trainer = pytorch_lightning.Trainer(
        max_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        accelerator="cpu",
    )
    return model.fit(Dataset.construct(events))


def _beside(name: str) -> Any:
    """Load a module of this folder, which must not be on the search path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
