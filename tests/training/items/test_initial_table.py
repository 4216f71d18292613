"""The item table a student starts from."""

from __future__ import annotations

import numpy as np
import torch
from mini_language_model import save_bert

from lightrec.models.teachers.language_model import load_language_model
from lightrec.settings import StudentSettings
from lightrec.training.items.initial_table import start_items
from lightrec.training.items.text_vectors import encode_texts, whiten
from lightrec.training.progress import ProgressBar
from lightrec.training.train_student import make_student


def test_a_table_from_texts_is_their_whitened_encoding_at_the_usual_size(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    base = str(save_bert(tmp_path / "bert"))
    settings = StudentSettings(init_items="text", base=base, hidden_size=8)
    student = make_student(settings, tiny_dataset.n_items)
    random = student.item_embedding.weight.detach()[:-1].clone()
    start_items(student, settings, tiny_dataset, (), "cpu", ProgressBar())
    expected = whiten(encode_texts(load_language_model(base), tiny_dataset.item_texts), 8) * 0.02
    found = student.item_embedding.weight.detach()[:-1]
    has_text = np.abs(expected).sum(axis=1) > 0
    assert has_text.any()
    torch.testing.assert_close(found[has_text], torch.from_numpy(expected)[has_text])
    assert torch.equal(found[~has_text], random[~has_text])
    assert torch.equal(student.item_embedding.weight[-1], torch.zeros(8))
