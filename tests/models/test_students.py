"""Students: what a padded batch, a longer history and a reload must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightrec.models.load import STUDENTS
from lightrec.models.scoring import ModelScorer, pad_histories
from lightrec.models.students.top_k import recommend_from_scores

N = 23


def make(name: str, similarity: str = "dot"):
    torch.manual_seed(0)
    config, model = STUDENTS[name]
    student = model(config(n_items=N, max_length=8, hidden_size=16, dropout=0.5, similarity=similarity)).eval()
    with torch.no_grad():
        student.set_item_table(torch.randn(student.item_table.shape))
    return student


@pytest.fixture(scope="module", params=list(STUDENTS))
def student(request):
    return make(request.param)


@pytest.fixture(params=list(STUDENTS))
def cosine(request):
    return make(request.param, "cosine")


@pytest.fixture(scope="module")
def sasrec():
    return make("sasrec")


@pytest.fixture(scope="module", params=["sasrec", "gru4rec"])
def causal(request):
    return make(request.param)


def test_padding_changes_nothing(student):
    history = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 0, 0, 0]])
    length = torch.tensor([5, 2])
    together = student.score(history, length)
    alone = student.score(history[1:, :2], length[1:])
    torch.testing.assert_close(together[1], alone[0], atol=1e-5, rtol=0)
    other_padding = torch.tensor([[3, 1, 4, 1, 5], [9, 2, N, N, N]])
    torch.testing.assert_close(together, student.score(other_padding, length), atol=1e-5, rtol=0)


def test_item_zero_is_an_item(student):
    """A history of item 0 differs from one of item 1, and item 0 can be recommended."""
    one = torch.ones(1, dtype=torch.int64)
    assert not torch.allclose(student.score(torch.tensor([[0]]), one), student.score(torch.tensor([[1]]), one))
    items, _ = student(torch.tensor([[1]]), one, torch.empty(1, 0, dtype=torch.int64), torch.tensor([N]))
    assert 0 in items


def test_cosine_scores_are_cosines_times_their_scale(cosine):
    scores = cosine.score(torch.tensor([[3, 1, 4]]), torch.tensor([3]))
    state = cosine.last_state(torch.tensor([[3, 1, 4]]), torch.tensor([3]))
    expected = torch.nn.functional.cosine_similarity(state, cosine.item_embedding.weight[:-1]) * 10
    torch.testing.assert_close(scores[0], expected)


def test_under_cosine_the_length_of_an_item_vector_means_nothing(cosine):
    history, length = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    before = cosine.score(history, length)
    cosine.set_item_table(cosine.item_table.detach() * torch.linspace(0.1, 9, N)[:, None])
    torch.testing.assert_close(cosine.score(history, length), before, atol=1e-5, rtol=1e-5)


def test_folding_changes_the_weights_and_no_answer(cosine):
    asked = torch.tensor([[3, 1, 4]]), torch.tensor([3]), torch.tensor([[7]]), torch.tensor([5])
    (items, scores), before = cosine(*asked), cosine.item_embedding.weight.clone()
    folded_items, folded_scores = cosine.fold()(*asked)
    assert torch.equal(items, folded_items) and not torch.equal(before, cosine.item_embedding.weight)
    torch.testing.assert_close(folded_scores, scores, atol=1e-5, rtol=1e-5)


def test_last_state_is_the_last_of_all_states(causal):
    history, length = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, N, N]]), torch.tensor([5, 3])
    every = causal.states(history)
    torch.testing.assert_close(causal.last_state(history, length), every[torch.arange(2), length - 1])


def test_states_never_see_the_future(causal):
    first = causal.states(torch.tensor([[3, 1, 4, 1, 5]]))
    other = causal.states(torch.tensor([[3, 1, 4, 7, 8]]))
    torch.testing.assert_close(first[:, :3], other[:, :3])
    assert not torch.allclose(first[:, 3:], other[:, 3:])


def test_appending_an_item_keeps_the_keys_of_earlier_ones(sasrec):
    """Positions count by distance: what was computed for an item stays valid when another is appended."""
    keys = {}
    for name, history in {"short": [3, 1, 4], "long": [3, 1, 4, 1]}.items():
        caught = []
        hooks = [layer.key_value.register_forward_hook(lambda *a, c=caught: c.append(a[2])) for layer in sasrec.layers]
        sasrec.states(torch.tensor([history]))
        keys[name] = caught
        for hook in hooks:
            hook.remove()
    for short, long in zip(keys["short"], keys["long"], strict=True):
        torch.testing.assert_close(short, long[:, :3])


@pytest.mark.parametrize(("inner", "matrix"), [(None, 16 * 64), (16, 16 * 16), (5, 16 * 5)])
@pytest.mark.parametrize("name", ["sasrec", "mini-bert"])
def test_the_width_inside_the_feed_forward_blocks_can_be_chosen(name, inner, matrix):
    config, model = STUDENTS[name]
    student = model(config(n_items=N, max_length=8, hidden_size=16, num_layers=1, intermediate_size=inner))
    others = model(config(n_items=N, max_length=8, hidden_size=16, num_layers=1, intermediate_size=1))
    added = student.num_parameters() - others.num_parameters()
    assert added == 2 * (matrix - 16) + matrix // 16 - 1  # two matrices, and the inner bias


def test_a_reloaded_student_scores_the_same(student, tmp_path):
    student.save_pretrained(tmp_path)
    again = type(student).from_pretrained(tmp_path).eval()
    history, length = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([5])
    torch.testing.assert_close(student.score(history, length), again.score(history, length))


def test_the_scorer_reads_the_last_items_of_a_long_history(student):
    scorer = ModelScorer(student)
    long = np.arange(20)
    np.testing.assert_allclose(scorer.score([long, long[:3]])[0], scorer.score([long[-8:]])[0], atol=1e-5)


def test_padded_histories():
    history, length = pad_histories([np.array([1, 2, 3]), np.array([], dtype=int), np.array([4])], 2, padding=9)
    assert history.tolist() == [[2, 3], [9, 9], [4, 9]]
    assert length.tolist() == [2, 0, 1]


def test_recommendations_by_hand():
    scores = torch.tensor([[0.5, 0.9, 0.1, 0.7, 99.0]])  # items 0 to 3, and the padding column
    none = torch.empty(1, 0, dtype=torch.int64)
    items, best = recommend_from_scores(scores, torch.tensor([[1, 4]]), none, torch.tensor([2]))
    assert items.tolist() == [[3, 0]]
    assert best[0].tolist() == pytest.approx([0.7, 0.5])
    items, _ = recommend_from_scores(scores, torch.tensor([[1]]), torch.tensor([[0, -1]]), torch.tensor([50]))
    assert items.tolist() == [[3, 2]], "k is clamped to what remains"


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_recommendations_are_the_best_of_what_remains(data):
    rows = data.draw(st.integers(1, 3))
    ids = st.integers(0, 9)
    seen = [data.draw(st.lists(ids, min_size=1, max_size=6)) for _ in range(rows)]
    exclude = [data.draw(st.lists(ids, max_size=6)) for _ in range(rows)]
    k = data.draw(st.integers(1, 15))
    scores = torch.from_numpy(np.random.default_rng(data.draw(st.integers(0, 999))).normal(size=(rows, 11)))

    def padded(lists, value):
        width = max(map(len, lists))
        return torch.tensor([row + [value] * (width - len(row)) for row in lists], dtype=torch.int64).view(rows, -1)

    items, best = recommend_from_scores(scores, padded(seen, 10), padded(exclude, -1), torch.tensor([k]))
    for row in range(rows):
        remaining = [i for i in range(10) if i not in seen[row] and i not in exclude[row]]
        expected = sorted(remaining, key=lambda i: -scores[row, i])[:k]
        found = [i for i in items[row].tolist() if i >= 0]
        assert found == expected
        assert torch.isinf(best[row, len(found) :]).all()
