"""Votes from item to item, computed by hand."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightrec.models.load import load_model
from lightrec.models.scoring import ModelScorer
from lightrec.models.students.item_item_weights import STEPS, Neighbours
from lightrec.models.students.sasrec import Sasrec, SasrecConfig


def test_each_item_votes_by_its_age():
    """Item 0 votes 1 for item 1 and .5 for item 2; item 2 votes 1 for item 1; the item before counts half."""
    voters = Neighbours.of(
        np.array([[1, 2], [0, 0], [1, 3], [0, 0]]),
        np.array([[1, 0.5], [0, 0], [1, -2], [0, 0]]),
        np.array([1.0, 0.5, 0.25]),
    )
    scores = voters(torch.zeros(2, 4), torch.tensor([[0, 2, 4], [2, 0, 0]]), torch.tensor([2, 3]))
    half = np.rint(0.5 * STEPS) / STEPS
    np.testing.assert_allclose(scores[0], [0, 0.5 + 1, 0.5 * half, 0], atol=1e-6)
    np.testing.assert_allclose(scores[1], [0, 0.25 + 0.5 + 1, 1.5 * half, 0], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_votes_equal_a_dense_matrix(seed):
    drawn = np.random.default_rng(seed)
    items, length = drawn.permuted(np.tile(np.arange(9), (9, 1)), axis=1)[:, :4], drawn.integers(1, 6, size=3)
    votes, by_age = drawn.normal(size=items.shape), drawn.random(5)
    matrix = np.zeros((10, 9))
    np.put_along_axis(matrix[:9], items, np.maximum(votes, 0), axis=1)
    histories = np.full((3, 5), 9)
    for row, end in enumerate(length):
        histories[row, :end] = drawn.integers(0, 9, size=end)
    expected = [
        sum(by_age[end - 1 - t] * matrix[row[t]] for t in range(end))
        for row, end in zip(histories, length, strict=True)
    ]
    voters = Neighbours.of(items, votes, by_age)
    found = voters(torch.zeros(3, 9), torch.from_numpy(histories), torch.from_numpy(length))
    # Each vote is rounded by half a step at most.
    np.testing.assert_allclose(found, expected, atol=5 * max(votes.max(), 0) / STEPS / 2 + 1e-6)


def test_a_student_keeps_its_neighbours(tmp_path):
    student = Sasrec(SasrecConfig(n_items=6, hidden_size=8, max_length=4)).eval()
    alone = ModelScorer(student).score([np.array([0, 3])])
    student.set_neighbours(
        Neighbours.of(np.array([[1], [2], [3], [4], [5], [0]]), np.full((6, 1), 0.5), np.full(4, 2.0))
    )
    together = ModelScorer(student).score([np.array([0, 3])])
    np.testing.assert_allclose(together - alone, [[0, 1, 0, 0, 1, 0]], atol=1e-5)
    student.save_pretrained(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    loaded, _ = load_model(tmp_path)
    assert loaded.config.neighbours == 1
    np.testing.assert_allclose(ModelScorer(loaded).score([np.array([0, 3])]), together, atol=1e-6)
    assert loaded.neighbours.votes.dtype == torch.uint8
    loaded.set_neighbours(None)
    assert loaded.config.neighbours == 0
    np.testing.assert_allclose(ModelScorer(loaded).score([np.array([0, 3])]), alone, atol=1e-6)


def test_no_votes_at_all_are_no_division_by_zero():
    voters = Neighbours.of(np.zeros((3, 2), dtype=int), np.full((3, 2), -1.0), np.ones(2))
    scores = voters(torch.ones(1, 3), torch.tensor([[1, 2]]), torch.tensor([2]))
    assert scores.tolist() == [[1, 1, 1]]
