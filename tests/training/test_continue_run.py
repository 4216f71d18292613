"""Yesterday's student on today's data: known items keep their vectors, by id; new ones join; misfits are refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lightrec.data.dataset import Dataset, write_dataset
from lightrec.errors import ConfigError, ModelError
from lightrec.models.load import load_model
from lightrec.settings import StudentSettings
from lightrec.training.continue_run import continue_student
from lightrec.training.progress import Silent
from lightrec.training.train_student import make_student, train

SETTINGS = StudentSettings(hidden_size=16, epochs=2, patience=0, max_length=8, batch_size=16, device="cpu")


@pytest.fixture(scope="module")
def yesterday(tiny_dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "yesterday"
    train(tiny_dataset.path, out, SETTINGS, Silent())
    return out


@pytest.fixture(scope="module")
def today(tiny_dataset, tmp_path_factory) -> Dataset:
    """Two new items, and the old ones numbered from behind; everybody goes on to a new item."""
    ids = ["new-1", *reversed(tiny_dataset.item_ids), "new-2"]
    sequences = [
        [*(30 - tiny_dataset.sequence(user)).tolist(), 31 * (user % 2)] for user in range(tiny_dataset.n_users)
    ]
    lengths = [len(sequence) for sequence in sequences]
    return write_dataset(
        tmp_path_factory.mktemp("data") / "today",
        name="today",
        user_ids=tiny_dataset.user_ids,
        item_ids=ids,
        item_texts=[None] * 32,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=np.concatenate(sequences),
        timestamps=np.concatenate([np.arange(length) for length in lengths]),
        order_only=True,
    )


@pytest.mark.parametrize("kind", ["sasrec", "mini-bert", "gru4rec"])
def test_before_training_old_items_score_as_they_did(tiny_dataset, today, tmp_path, kind):
    settings = dataclasses.replace(SETTINGS, student=kind, epochs=1)
    train(tiny_dataset.path, tmp_path / "run", settings, Silent())
    old, _ = load_model(tmp_path / "run")
    student = make_student(settings, today.n_items).eval()
    fresh = student.item_table.detach().clone()
    continue_student(student, str(tmp_path / "run"), today)
    history, length = torch.tensor([[3, 7, 12], [5, 6, 0]]), torch.tensor([3, 2])
    there = [today.item_ids.index(item) for item in tiny_dataset.item_ids]
    with torch.inference_mode():
        before, now = old.score(history, length), student.score(torch.tensor(there)[history], length)
        torch.testing.assert_close(now[:, there], before)
        assert torch.equal(student.item_table[[0, 31]], fresh[[0, 31]])
        assert torch.equal(student.item_embedding.weight[-1], torch.zeros(16))


def test_a_student_goes_on_with_more_items_and_its_run_knows_their_ids(today, yesterday, tmp_path):
    settings = dataclasses.replace(SETTINGS, from_run=str(yesterday), epochs=1)
    record = train(today.path, tmp_path / "today", settings, Silent())
    model, _ = load_model(tmp_path / "today")
    assert model.config.n_items == 32
    assert record["config"]["from_run"] == str(yesterday)
    first = train(today.path, tmp_path / "anew", dataclasses.replace(SETTINGS, epochs=1), Silent())
    assert record["validation"]["ndcg@10"] > first["validation"]["ndcg@10"]
    again = dataclasses.replace(settings, from_run=str(tmp_path / "today"))
    assert train(today.path, tmp_path / "tomorrow", again, Silent())["epochs_trained"] == 1


def test_all_that_does_not_agree_is_named_at_once(today, yesterday, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, from_run=str(yesterday), hidden_size=32, student="mini-bert", similarity="dot"
    )
    expected = "--student sasrec there, mini-bert now; --hidden-size 16 there, 32 now; similarity cosine there, dot now"
    with pytest.raises(ModelError, match=expected):
        train(today.path, tmp_path / "run", settings, Silent())
    with pytest.raises(ModelError, match="is not a run"):
        train(today.path, tmp_path / "run", dataclasses.replace(SETTINGS, from_run=str(tmp_path)), Silent())
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_retrained_is_another_origin(today, yesterday, tmp_path):
    shutil.copytree(yesterday, tmp_path / "origin")
    settings = dataclasses.replace(SETTINGS, from_run=str(tmp_path / "origin"), epochs=1)
    train(today.path, tmp_path / "run", settings, Silent())
    weights = tmp_path / "origin" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="from_weights"):
        train(today.path, tmp_path / "run", settings, Silent())
