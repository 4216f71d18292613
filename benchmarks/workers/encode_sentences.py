"""Recommend with a sentence encoder over the titles of a history, the plainest use of a language model.

Run as a script by this interpreter: it imports nothing of lightrec but the file that times the calls. The encoder has
the shape of all-MiniLM-L6-v2 and random weights, its word pieces are learnt from the titles, and the items' vectors are
made up: none of this changes a time. As in sentence-transformers, a text is cut at 256 word pieces, its vector is the
mean of the last states and has length one.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
VOCABULARY, MAX_PIECES = 30_522, 256
"""The vocabulary and maximum length of all-MiniLM-L6-v2."""


def main() -> None:
    """Build the encoder, then answer tasks."""
    protocol = _beside("worker_protocol")
    channel = protocol.own_channel()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    histories, ids, titles = (
        json.loads(Path(request[name]).read_text(encoding="utf-8")) for name in ("histories", "item_ids", "titles")
    )

    import torch
    import transformers

    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    embed = _encoder([title or item for item, title in zip(ids, titles, strict=True)])
    vectors = torch.nn.functional.normalize(torch.randn(len(ids), SHAPE["hidden_size"]))
    index, length, k = {item: place for place, item in enumerate(ids)}, request["max_length"], request["k"]

    def answer(histories: list[list[str]]) -> list[list[tuple[str, float, str]]]:
        seen = [[index[item] for item in history] for history in histories]
        texts = [". ".join(titles[item] or ids[item] for item in items[-length:]) for items in seen]
        with torch.inference_mode():
            scores = embed(texts) @ vectors.T
            for row, items in enumerate(seen):
                scores[row, items] = -torch.inf
            best, found = torch.topk(scores, min(k, len(ids)), dim=1)
        return [
            [(ids[item], score, titles[item]) for item, score in zip(*row, strict=True)]
            for row in zip(found.tolist(), best.tolist(), strict=True)
        ]

    calls = {"single": (lambda history: answer([history]), histories)}
    for size in request["batches"]:
        calls[f"batch {size}"] = (answer, protocol.chunks(histories, size))
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    protocol.serve(channel, calls, {"versions": versions})


def _encoder(texts: Sequence[str]) -> Callable[[list[str]], Any]:
    """Return a function from B texts to their unit vectors, float32 ``[B, 384]``."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(texts, vocab_size=VOCABULARY, show_progress=False)
    pieces.enable_truncation(MAX_PIECES)
    pieces.enable_padding(pad_id=pieces.token_to_id("[PAD]"))
    model = BertModel(BertConfig(vocab_size=VOCABULARY, **SHAPE)).eval()

    def embed(histories: list[str]) -> torch.Tensor:
        found = pieces.encode_batch(histories)
        tokens, mask = (torch.tensor([getattr(one, name) for one in found]) for name in ("ids", "attention_mask"))
        states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
        return torch.nn.functional.normalize((states * mask[:, :, None]).sum(1))

    return embed


def _beside(name: str) -> Any:
    """Load a module of this folder, which must not be on the search path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
