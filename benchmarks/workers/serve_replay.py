"""Answer raw histories by RePlay's compiled SasRec; see :mod:`lightrec.benchmarks.project.speed_table`.

The interpreter of another virtual environment runs this file, which imports nothing of lightrec and needs
``replay-rec[torch]``, ``openvino`` and ``onnx``. The weights are random, which does not affect times. RePlay returns
scores; raw ids, the top k and titles are added in the simplest way. Seen items are not filtered, which would take
RePlay more time.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main() -> None:
    """Build and compile the model that the request file describes, then answer tasks."""
    protocol, shared = _beside("worker_protocol"), _beside("train_replay")
    channel = protocol.own_channel()
    warnings.simplefilter("ignore")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # OpenVINO would report its use
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    histories, ids, titles = (json.loads(Path(request[name]).read_text(encoding="utf-8")) for name in LISTS)

    import numpy as np
    import torch
    from replay.models.nn.sequential.compiled import SasRecCompiled
    from replay.models.nn.sequential.sasrec import SasRec

    length = request["max_length"]
    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    model = SasRec(
        shared.schema(len(ids), request["hidden_size"]),
        block_count=request["num_layers"],
        head_count=request["num_heads"],
        hidden_size=request["hidden_size"],
        max_seq_len=length,
    ).eval()
    index = {item: place for place, item in enumerate(ids)}

    def answering(mode: str, batch: int | None) -> Callable[[Any], object]:
        compiled = SasRecCompiled.compile(model, mode=mode, batch_size=batch, num_threads=request["threads"])

        def answer(histories: list[list[str]]) -> list[list[tuple[str, float, str]]]:
            rows = [[index[item] for item in history[-length:]] for history in histories]
            items = torch.from_numpy(np.array([[len(ids)] * (length - len(row)) + row for row in rows]))
            tensors = {"item_id": items}
            scores = compiled.predict(
                {
                    "query_id": torch.arange(len(rows))[:, None],
                    "padding_mask": items != len(ids),
                    "features": tensors,
                    "feature_tensor": tensors,
                }
            )
            best, found = torch.topk(scores, request["k"], dim=1)
            return [
                [(ids[item], score, titles[item]) for item, score in zip(*row, strict=True)]
                for row in zip(found.tolist(), best.tolist(), strict=True)
            ]

        return answer

    one = answering("one_query", None)
    calls = {"single": (lambda history: one([history]), histories)}
    for size in request["batches"]:
        calls[f"batch {size}"] = (answering("batch", size), protocol.chunks(histories, size))
    versions = {name: version(name) for name in ("replay-rec", "torch", "openvino", "onnx", "numpy")}
    protocol.serve(channel, calls, {"versions": versions})


LISTS = ("histories", "item_ids", "titles")
"""Keys of the request that name JSON files."""


def _beside(name: str) -> Any:
    """Load a module of this folder, which must not be on the search path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
