"""Item vectors from text: encoding with a cache on disk, and whitening, so that a small model can start from them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from lightrec.errors import WriteError
from lightrec.files.atomic import new_file
from lightrec.files.download import cache_folder
from lightrec.models.teachers.language_model import LanguageModel
from lightrec.training.progress import Reporter

MAX_TOKENS = 64
"""Most tokens of a text that are read; titles with a few attributes are far shorter."""


def encode_texts(
    base: LanguageModel,
    texts: Sequence[str | None],
    *,
    device: str = "cpu",
    batch_size: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the language model's encoding of each text, float32 ``[N, H]``: its last states, averaged over tokens.

    An item without text gets zeros. The result is cached in the cache folder under a key made of the weights and the
    texts, so that the same encoding is not computed twice.

    Args:
        base: the model, before :func:`~lightrec.models.teachers.language_model.drop_unused_parts`.
        texts: one per item, None for no text.
        on_progress: called with (texts done, all texts).
    """
    kept = cache_folder() / "text-vectors" / f"{fingerprint(base, texts)}.npz"
    vectors = _kept(kept)
    if vectors is None:
        vectors = _encode(base, texts, device, batch_size, on_progress)
        # If they cannot be cached, for lack of disk space for example, they are encoded again next time.
        with contextlib.suppress(WriteError), new_file(kept) as beside, beside.open("wb") as file:
            np.savez(file, vectors=vectors)
    return vectors


def _kept(file: Path) -> np.ndarray | None:
    """Return the vectors in a file of the cache; None if it is missing or damaged (the archive has a checksum)."""
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["vectors"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        return None


def fingerprint(base: LanguageModel, texts: Sequence[str | None] = ()) -> str:
    """Return 32 hex digits that identify the weights of ``base`` and ``texts``."""
    digest = hashlib.sha256()
    for name, weight in sorted(base.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weight.cpu().float().numpy()).data)
    digest.update(json.dumps([MAX_TOKENS, list(texts)]).encode())
    return digest.hexdigest()[:32]


def read_texts(base: LanguageModel, texts: Sequence[str | None], device: str, reporter: Reporter) -> np.ndarray:
    """Call :func:`encode_texts` and show its progress."""
    reporter.start("Reading item texts", len(texts))
    vectors = encode_texts(base, texts, device=device, on_progress=lambda done, _: reporter.advance(done))
    reporter.stop()
    return vectors


def whiten(vectors: np.ndarray, dim: int, *, power: float = 1.0) -> np.ndarray:
    """Centre ``vectors [N, H]``, project them on the ``dim`` leading principal axes, and equalise the variances.

    Vectors of language models are concentrated in a narrow cone; whitening spreads them (WhitenRec, arXiv 2402.10602).

    Args:
        vectors: one row per item; rows of zeros (no text) stay zero and do not count.
        dim: width of the result; axes beyond the rank of the data are zero.
        power: 1 whitens fully, 0 keeps the variances of plain PCA.

    Returns:
        float32 ``[N, dim]`` with mean square 1 over the rows that count.
    """
    return project(vectors, whitening_axes(vectors, dim, power=power))


def whitening_axes(vectors: np.ndarray, dim: int, *, power: float = 1.0) -> np.ndarray:
    """Return the scaled axes float64 ``[H, dim]`` of :func:`whiten`, with which :func:`project` can project others."""
    axes_used = np.zeros((vectors.shape[1], dim))
    present = _present(vectors)
    if present.sum() < 2:
        return axes_used
    centred = vectors[present].astype(np.float64)
    centred -= centred.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    variances, axes = variances[::-1][:dim], axes[:, ::-1][:, :dim]
    # The sign of an axis is arbitrary: its largest entry is made positive, so that runs agree.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    used = variances > variances[0] * 1e-9
    axes_used[:, np.flatnonzero(used)] = axes[:, used] / variances[used] ** (power / 2)
    return axes_used


def project(vectors: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Centre ``vectors [N, H]``, project them on ``axes [H, dim]``, scale them to mean square 1: float32 ``[N, dim]``.

    Rows of zeros (no text) stay zero and do not count.
    """
    result = np.zeros((len(vectors), axes.shape[1]), dtype=np.float32)
    present = _present(vectors)
    if present.any():
        projected = (vectors[present] - vectors[present].mean(axis=0, dtype=np.float64)) @ axes
        result[present] = projected / max(np.sqrt(np.mean(projected**2)), 1e-12)
    return result


def _present(vectors: np.ndarray) -> np.ndarray:
    return np.abs(vectors).sum(axis=1) > 0


def _encode(
    base: LanguageModel,
    texts: Sequence[str | None],
    device: str,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    model = base.model.to(device).eval()
    tokenizer = base.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    # Texts of similar length share a batch, which needs little padding.
    present = sorted((i for i, text in enumerate(texts) if text), key=lambda i: len(texts[i] or ""))
    for first in range(0, len(present), batch_size):
        chosen = present[first : first + batch_size]
        tokens = tokenizer(
            [texts[i] for i in chosen], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(device)
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state
        weights = tokens["attention_mask"][:, :, None].to(states.dtype)
        vectors[chosen] = ((states * weights).sum(1) / weights.sum(1).clamp(min=1)).float().cpu().numpy()
        if on_progress:
            on_progress(first + len(chosen), len(present))
    return vectors
