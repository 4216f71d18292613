"""Train RecTools' SASRec on a split of lightrec's; see :mod:`lightrec.benchmarks.peers.exchange`.

The interpreter of another virtual environment runs this file, which imports nothing of lightrec and needs only
``pip install 'rectools[torch]'``.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np


def main() -> None:
    """Train as ``OPTIONS`` say on ``REQUEST`` and write the vectors of the best validation to ``ANSWER``."""
    import pandas as pd
    import pytorch_lightning
    import rectools
    import torch
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    request, options = dict(np.load(sys.argv[1])), json.loads(sys.argv[3])
    warnings.simplefilter("ignore")
    torch.set_num_threads(options["threads"])
    pytorch_lightning.seed_everything(options["seed"])

    class Watch(pytorch_lightning.Callback):
        """Time every epoch; optionally validate after each, retain the best vectors and stop early."""

        def __init__(self) -> None:
            self.begun = time.perf_counter()
            self.seconds: list[float] = []
            self.ndcg: list[float] = []
            self.best: dict[str, np.ndarray] = {}

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self.seconds.append(time.perf_counter() - self.started)
            if not options["validate"]:
                return
            module.eval()
            vectors = embed(module, request, options["max_length"])
            module.train()
            self.ndcg.append(validation_ndcg(vectors, request))
            if self.ndcg[-1] == max(self.ndcg):
                self.best = vectors
            epoch, seconds = len(self.ndcg), self.seconds[-1]
            print(f"epoch {epoch}: {seconds:.0f} s, validation NDCG@10 {self.ndcg[-1]:.4f}", flush=True)
            since_best = len(self.ndcg) - 1 - int(np.argmax(self.ndcg))
            out_of_patience = options["patience"] and since_best >= options["patience"]
            out_of_time = options["minutes"] and time.perf_counter() - self.begun >= 60 * options["minutes"]
            trainer.should_stop = bool(out_of_patience or out_of_time)

    model = SASRecModel(
        loss="softmax",
        n_factors=options["hidden_size"],
        n_blocks=options["num_layers"],
        n_heads=options["num_heads"],
        session_max_len=options["max_length"],
        dropout_rate=options["dropout"],
        lr=options["learning_rate"],
        batch_size=options["batch_size"],
        epochs=options["epochs"],
    )
    model._trainer = pytorch_lightning.Trainer(
        max_epochs=options["epochs"],
        callbacks=[Watch()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        accelerator="cpu",
        precision="bf16-mixed" if options["precision"] == "bf16" else "32-true",
    )
    model.fit(Dataset.construct(interactions(pd, request)))
    watch = next(callback for callback in model.fit_trainer.callbacks if hasattr(callback, "ndcg"))
    np.savez(
        sys.argv[2],
        epoch_seconds=watch.seconds,
        ndcg=watch.ndcg,
        parameters=sum(weight.numel() for weight in model.torch_model.parameters()),
        version=rectools.VERSION,
        **watch.best,
    )


def interactions(pd: Any, request: dict[str, np.ndarray]) -> Any:
    """Return the training events in RecTools' format; times are positions in a user's history."""
    lengths = np.diff(request["train_offsets"])
    positions = np.arange(len(request["train_items"])) - np.repeat(request["train_offsets"][:-1], lengths)
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(len(lengths)), lengths),
            "item_id": request["train_items"].astype(np.int64),
            "weight": 1.0,
            "datetime": pd.to_datetime(positions, unit="s"),
        }
    )


def embed(module: Any, request: dict[str, np.ndarray], max_length: int) -> dict[str, np.ndarray]:
    """Return the vectors of all items ``[N, d]`` (NaN where unknown) and of all histories ``[C, d]``."""
    import torch

    known = module.data_preparator.item_id_map.get_external_sorted_by_internal()[1:].astype(np.int64)  # 0 is padding
    number = np.zeros(int(request["n_items"]), dtype=np.int64)
    number[known] = np.arange(1, len(known) + 1)
    offsets = request["history_offsets"]
    padded = np.zeros((len(offsets) - 1, max_length), dtype=np.int64)
    for row in range(len(padded)):
        history = number[request["histories"][offsets[row] : offsets[row + 1]]]
        history = history[history > 0][-max_length:]
        padded[row, max_length - len(history) :] = history
    with torch.no_grad():
        vectors = module.torch_model.item_model.get_all_embeddings()
        states = [
            module.torch_model.encode_sessions({"x": torch.from_numpy(batch)}, vectors)[:, -1].numpy()
            for batch in np.array_split(padded, -(-len(padded) // 256))
        ]
    items = np.full((len(number), vectors.shape[1]), np.nan, dtype=np.float32)
    items[known] = vectors[1:].numpy()
    return {"items": items, "states": np.concatenate(states)}


def validation_ndcg(vectors: dict[str, np.ndarray], request: dict[str, np.ndarray]) -> float:
    """Compute NDCG@10 of the validation cases by lightrec's protocol: all items, seen ones hidden, ties worst."""
    items, offsets, targets = vectors["items"], request["history_offsets"], request["targets"]
    unknown = np.isnan(items).any(axis=1)
    table = np.nan_to_num(items).T
    gains = []
    for cases in np.array_split(np.arange(len(targets)), -(-len(targets) // 256)):
        scores = vectors["states"][cases] @ table
        scores[:, unknown] = -np.inf
        seen = request["histories"][offsets[cases[0]] : offsets[cases[-1] + 1]]
        scores[np.repeat(cases - cases[0], np.diff(offsets[cases[0] : cases[-1] + 2])), seen] = -np.inf
        target = scores[np.arange(len(cases)), targets[cases]]
        ranks = np.count_nonzero(scores >= target[:, None], axis=1)
        gains.append(np.where((ranks <= 10) & np.isfinite(target), 1 / np.log2(ranks + 1), 0.0))
    return float(np.concatenate(gains).mean())


if __name__ == "__main__":
    main()
