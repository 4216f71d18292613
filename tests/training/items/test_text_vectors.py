"""Whitening by its definition; encodings kept."""

from __future__ import annotations

import numpy as np
import pytest
from mini_language_model import save_bert

from lightrec.models.teachers.language_model import load_language_model
from lightrec.training.items.text_vectors import encode_texts, whiten


def test_whitened_vectors_are_centred_and_even():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)) + 5
    white = whiten(vectors, 6).astype(np.float64)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(white.T @ white / 200, np.eye(6), atol=1e-4)


def test_without_whitening_it_is_plain_pca():
    """power=0 keeps distances: those of the centred vectors, up to one scale."""
    vectors = np.random.default_rng(0).normal(size=(50, 4)) * [4, 3, 2, 1]
    kept = whiten(vectors, 4, power=0)
    before, after = (np.linalg.norm(v - v[0], axis=1)[1:] for v in (vectors, kept))
    assert np.ptp(before / after) < 1e-5 * (before / after).mean()


def test_items_without_text_stay_zero_and_do_not_count():
    vectors = np.random.default_rng(0).normal(size=(30, 5))
    with_gap = np.concatenate([vectors, np.zeros((1, 5))])
    np.testing.assert_allclose(whiten(with_gap, 3)[:-1], whiten(vectors, 3), atol=1e-6)
    assert not whiten(with_gap, 3)[-1].any()


def test_a_width_beyond_the_rank_is_filled_with_zeros():
    vectors = np.random.default_rng(0).normal(size=(30, 2))
    white = whiten(vectors, 5)
    assert white.shape == (30, 5)
    assert not white[:, 2:].any()
    assert np.mean(white**2) == pytest.approx(1)


def test_texts_are_encoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    base = load_language_model(str(save_bert(tmp_path / "bert")))
    texts = ["item 1", None, "item 2 2 2", "item 1"]
    calls = []
    first = encode_texts(base, texts, on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(3, 3)]
    np.testing.assert_array_equal(encode_texts(base, texts, on_progress=lambda *_: pytest.fail("again")), first)
    assert not first[1].any()
    np.testing.assert_allclose(first[0], first[3], atol=1e-6)
    alone = encode_texts(base, ["item 1"])
    np.testing.assert_allclose(first[0], alone[0], atol=1e-5)
