"""Teachers: language models of each kind, what they may see, and what is refused."""

from __future__ import annotations

import pytest
import torch
from mini_language_model import save_bert, save_gpt2, save_t5

from lightrec.errors import ModelError
from lightrec.models.teachers.language_model import load_language_model, reads_ahead
from lightrec.models.teachers.teacher import Teacher

N = 12


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {"bert": str(save_bert(folder / "bert")), "gpt2": str(save_gpt2(folder / "gpt2"))}


def make(base: str, objective: str, item_input: str = "both", max_length: int = 10) -> Teacher:
    torch.manual_seed(0)
    teacher = Teacher.from_language_model(
        load_language_model(base),
        n_items=N,
        max_length=max_length,
        item_input=item_input,
        objective=objective,
        text_vectors=torch.randn(N, 32),
    )
    return teacher.eval()


def test_which_way_a_model_reads_is_found_by_trying(bases):
    assert reads_ahead(load_language_model(bases["bert"]).model)
    assert not reads_ahead(load_language_model(bases["gpt2"]).model)


@pytest.mark.parametrize("base", ["bert", "gpt2"])
@pytest.mark.parametrize("item_input", ["ids", "text", "both"])
def test_a_causal_teacher_never_sees_the_future(bases, base, item_input):
    teacher = make(bases[base], "causal", item_input)
    first = teacher.states(torch.tensor([[3, 1, 4, 1, 5]]))
    other = teacher.states(torch.tensor([[3, 1, 4, 7, N]]))
    torch.testing.assert_close(first[:, :3], other[:, :3], atol=1e-5, rtol=0)
    assert not torch.allclose(first[:, 3], other[:, 3], atol=1e-3)


@pytest.mark.parametrize(("base", "objective"), [("bert", "causal"), ("bert", "masked"), ("gpt2", "causal")])
def test_padding_changes_nothing(bases, base, objective):
    teacher = make(bases[base], objective)
    together = teacher.score(torch.tensor([[3, 1, 4, 1, 5], [9, 2, N, N, N]]), torch.tensor([5, 2]))
    alone = teacher.score(torch.tensor([[9, 2]]), torch.tensor([2]))
    torch.testing.assert_close(together[1], alone[0], atol=1e-5, rtol=0)


def test_a_masked_teacher_does_not_see_what_is_hidden(bases):
    teacher = make(bases["bert"], "masked")
    masked = torch.tensor([[False, False, True, False]])
    length = torch.tensor([4])
    first = teacher.states(torch.tensor([[3, 1, 4, 1]]), length, masked)
    other = teacher.states(torch.tensor([[3, 1, 8, 1]]), length, masked)
    assert torch.equal(first, other)


def test_the_language_models_own_layers_do_the_work(bases):
    """The weights of every transformer layer are those of the pre-trained model."""
    teacher = make(bases["bert"], "causal")
    base = load_language_model(bases["bert"]).model.encoder.state_dict()
    for name, weight in teacher.language_model.encoder.state_dict().items():
        assert torch.equal(weight, base[name]), name


@pytest.mark.parametrize("base", ["bert", "gpt2"])
def test_a_reloaded_teacher_scores_the_same(bases, base, tmp_path):
    teacher = make(bases[base], "causal")
    teacher.save_pretrained(tmp_path)
    again = Teacher.from_pretrained(tmp_path).eval()
    history, length = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    torch.testing.assert_close(teacher.score(history, length), again.score(history, length), atol=1e-6, rtol=0)
    assert torch.equal(teacher.item_table, again.item_table)


def test_what_does_not_fit_is_refused(bases, tmp_path):
    with pytest.raises(ModelError, match=r"causal decoder.*--objective causal"):
        make(bases["gpt2"], "masked")
    with pytest.raises(ModelError, match="encoder-decoder"):
        load_language_model(str(save_t5(tmp_path / "t5")))
    with pytest.raises(ModelError, match="choose a smaller --max-length"):
        make(str(save_bert(tmp_path / "short", positions=8)), "causal", max_length=20)


def test_an_unknown_model_is_one_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="neither a folder nor in the local cache"):
        load_language_model("nobody/no-such-model")
