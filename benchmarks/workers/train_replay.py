"""Time the training of RePlay's SASRec on a split of lightrec's; see :mod:`lightrec.benchmarks.peers.exchange`.

The interpreter of another virtual environment runs this file, which imports nothing of lightrec and needs only
``pip install 'replay-rec[torch]'``. Model, full cross-entropy, optimizer and Lightning module are RePlay's. Its Parquet
reader is not used: the batches are padded in memory, which costs it no time.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np


def main() -> None:
    """Train as ``OPTIONS`` say on ``REQUEST`` and write the seconds of every epoch to ``ANSWER``."""
    import lightning
    import torch
    from replay.nn.lightning import LightningModule
    from replay.nn.lightning.optimizer import OptimizerFactory
    from replay.nn.sequential import SasRec

    request, options = dict(np.load(sys.argv[1])), json.loads(sys.argv[3])
    warnings.simplefilter("ignore")
    torch.set_num_threads(options["threads"])
    lightning.seed_everything(options["seed"], verbose=False)

    class Watch(lightning.Callback):
        """Time every epoch."""

        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self.seconds.append(time.perf_counter() - self.started)

    n_items, length, watch = int(request["n_items"]), options["max_length"], Watch()
    model = SasRec.from_params(
        schema(n_items, options["hidden_size"]),
        embedding_dim=options["hidden_size"],
        num_heads=options["num_heads"],
        num_blocks=options["num_layers"],
        max_sequence_length=length,
        dropout=options["dropout"],
    )
    sequences = torch.from_numpy(padded(request, length + 1, n_items))

    def batch(rows: list[int]) -> dict[str, Any]:
        items = sequences[rows]
        history, targets = items[:, :-1], items[:, 1:, None]
        return {
            "feature_tensors": {"item_id": history},
            "padding_mask": history != n_items,
            "positive_labels": targets,
            "negative_labels": None,
            "target_padding_mask": targets != n_items,
        }

    loader: Any = torch.utils.data.DataLoader(
        range(len(sequences)),  # type: ignore[arg-type]
        batch_size=options["batch_size"],
        shuffle=True,
        collate_fn=batch,
    )
    trainer = lightning.Trainer(
        max_epochs=options["epochs"],
        callbacks=[watch],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        accelerator="cpu",
        precision="bf16-mixed" if options["precision"] == "bf16" else "32-true",
    )
    trainer.fit(LightningModule(model, OptimizerFactory(learning_rate=options["learning_rate"])), loader)
    parameters = sum(weight.numel() for weight in model.parameters())
    np.savez(sys.argv[2], epoch_seconds=watch.seconds, parameters=parameters, version=version("replay-rec"))


def schema(n_items: int, width: int) -> Any:
    """Describe the model's only input: one sequence of items; item N is padding."""
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema

    return TensorSchema(
        [
            TensorFeatureInfo(
                "item_id",
                is_seq=True,
                feature_type=FeatureType.CATEGORICAL,
                embedding_dim=width,
                padding_value=n_items,
                cardinality=n_items,
                feature_hint=FeatureHint.ITEM_ID,
                feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
            )
        ]
    )


def padded(request: dict[str, np.ndarray], width: int, padding: int) -> np.ndarray:
    """Return the last ``width`` events of each user with two or more, left-padded: int64 ``[users, width]``."""
    offsets = request["train_offsets"]
    users = np.flatnonzero(np.diff(offsets) >= 2)
    sequences = np.full((len(users), width), padding, dtype=np.int64)
    for row, user in enumerate(users):
        events = request["train_items"][offsets[user] : offsets[user + 1]][-width:]
        sequences[row, width - len(events) :] = events
    return sequences


if __name__ == "__main__":
    main()
