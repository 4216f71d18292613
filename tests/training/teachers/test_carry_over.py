"""Teachers carried to another catalogue, and teachers trained by adapters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from mini_language_model import save_bert, save_gpt2
from safetensors.torch import load_file

from lightrec.data.dataset import write_dataset
from lightrec.data.splits import make_split
from lightrec.errors import ModelError
from lightrec.models.load import load_model
from lightrec.models.teachers.adapters import add_adapters, merge_adapters
from lightrec.settings import FinetuneSettings
from lightrec.training.finetune import finetune
from lightrec.training.items.text_vectors import project, whiten, whitening_axes
from lightrec.training.progress import Silent

SMALL = {"max_length": 8, "batch_size": 16, "device": "cpu", "epochs": 1}


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield str(save_bert(tmp_path_factory.mktemp("base") / "bert"))


@pytest.fixture(scope="module")
def origin(tiny_dataset, bert, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "origin"
    finetune(tiny_dataset.path, out, FinetuneSettings(base=bert, **SMALL), Silent())
    return out


@pytest.fixture(scope="module")
def other_dataset(tmp_path_factory):
    """25 users of another catalogue of 20 items, with texts of their own."""
    rng = np.random.default_rng(5)
    items = np.concatenate([(rng.integers(20) + np.arange(7)) % 20 for _ in range(25)])
    return write_dataset(
        tmp_path_factory.mktemp("other") / "dataset",
        name="other",
        user_ids=[f"v{user}" for user in range(25)],
        item_ids=[f"j{item}" for item in range(20)],
        item_texts=[f"item {item} of {item % 7}" for item in range(20)],
        offsets=np.arange(26) * 7,
        items=items,
        timestamps=np.tile(np.arange(7), 25),
        order_only=True,
    )


def test_a_teacher_starts_from_another_ones_layers_with_items_of_its_own(other_dataset, origin, bert, tmp_path):
    """With learning rates near zero, what was carried over is what is saved."""
    settings = FinetuneSettings(from_run=str(origin), learning_rate=1e-12, item_learning_rate=1e-12, **SMALL)
    record = finetune(other_dataset.path, tmp_path / "carried", settings, Silent())
    assert record["config"]["base"] == bert
    assert record["from"]["dataset"]["name"] == "tiny"
    old, new = (load_file(run / "model.safetensors") for run in (origin, tmp_path / "carried"))
    own = {"item_embedding.weight", "item_bias", "text_vectors"}
    assert own <= set(new)
    for name in set(new) - own:
        torch.testing.assert_close(new[name], old[name], atol=1e-6, rtol=0)
    assert new["item_embedding.weight"].shape == (20, 32)
    axes = [load_file(run / "text_axes.safetensors")["axes"] for run in (origin, tmp_path / "carried")]
    assert torch.equal(*axes)
    popularity = torch.from_numpy(make_split(other_dataset).popularity()).float() + 1
    torch.testing.assert_close(new["item_bias"], (popularity / popularity.mean()).log(), atol=1e-6, rtol=0)


def test_what_cannot_be_carried_over_is_refused(tiny_dataset, other_dataset, origin, tmp_path):
    def attempt(dataset, **changes):
        settings = FinetuneSettings(**{"from_run": str(origin), **SMALL, **changes})
        finetune(dataset.path, tmp_path / "refused", settings, Silent())

    with pytest.raises(ModelError, match="is causal: add --objective causal"):
        attempt(other_dataset, objective="masked")
    with pytest.raises(ModelError, match="leave --base out"):
        attempt(other_dataset, base="another")
    with pytest.raises(ModelError, match="on another split of the same data"):
        attempt(tiny_dataset, split="temporal")
    assert not (tmp_path / "refused").exists()


def test_texts_of_another_domain_fall_on_the_same_axes():
    """New vectors that differ from the old by a shift and a common factor get the old ones' projections."""
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    axes = whitening_axes(vectors, 4)
    np.testing.assert_allclose(project(3 * vectors + 5, axes), whiten(vectors, 4), atol=1e-5)
    assert not project(np.zeros((3, 6), dtype=np.float32), axes).any()


@pytest.mark.parametrize("save", [save_bert, pytest.param(save_gpt2, marks=pytest.mark.slow)])
def test_adapters_train_little_and_leave_a_run_of_the_usual_form(tiny_dataset, tmp_path, save):
    base = str(save(tmp_path / "base"))
    settings = FinetuneSettings(base=base, item_input="ids", lora=2, learning_rate=1e-2, **SMALL)
    finetune(tiny_dataset.path, tmp_path / "lora", settings, Silent())
    plain = dataclasses.replace(settings, lora=0, learning_rate=1e-12)
    finetune(tiny_dataset.path, tmp_path / "plain", plain, Silent())
    adapted, untouched = (load_file(tmp_path / name / "model.safetensors") for name in ("lora", "plain"))
    assert {name: part.shape for name, part in adapted.items()} == {n: p.shape for n, p in untouched.items()}
    moved = {
        name
        for name in adapted
        if name.startswith("language_model") and not torch.allclose(adapted[name], untouched[name], atol=1e-7)
    }
    assert moved
    assert all(name.endswith("weight") and "norm" not in name.lower() and "ln_" not in name for name in moved)
    for name in moved:
        change = adapted[name] - untouched[name]
        assert torch.linalg.matrix_rank(change, atol=1e-5) <= 2


def test_adapters_change_nothing_until_trained_and_nothing_when_merged(tiny_dataset, origin):
    teacher, _ = load_model(origin)
    history, length = torch.tensor([[1, 4, 2]]), torch.tensor([3])
    before = teacher.score(history, length)
    add_adapters(teacher, 4)
    trained = [p for name, p in teacher.named_parameters() if "language_model" in name and p.requires_grad]
    assert trained
    assert all(4 in p.shape for p in trained)
    torch.testing.assert_close(teacher.score(history, length), before)
    with torch.no_grad():
        for parameter in trained:
            parameter.normal_(std=0.1)
    adapted = teacher.score(history, length)
    assert not torch.allclose(adapted, before)
    merge_adapters(teacher)
    torch.testing.assert_close(teacher.score(history, length), adapted, atol=1e-4, rtol=1e-4)
