"""Ranks and lists against a brute-force sort, ties included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightrec.evaluation.ranking import best_items, hide, ranks_in_lists, target_ranks

# Few different values, so that ties are everywhere.
tied_scores = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 12)),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]),
)


def by_lowest_index(row: np.ndarray) -> list[int]:
    """The items of a row that may be recommended, best first, by a plain sort."""
    return sorted((item for item in range(len(row)) if row[item] > -np.inf), key=lambda item: (-row[item], item))


def test_ties_by_hand() -> None:
    scores = np.array([[3, 5, 3, 3, 1]] * 3, dtype=np.float32)
    targets = np.array([0, 2, 3])
    assert target_ranks(scores, targets).tolist() == [4, 4, 4]  # 5, and the two other threes come first
    assert target_ranks(scores, targets, ties="lowest-index").tolist() == [2, 3, 4]
    assert best_items(scores[:1], 4).tolist() == [[1, 0, 2, 3]]


def test_a_constant_scorer_is_last_everywhere() -> None:
    assert target_ranks(np.zeros((4, 9), dtype=np.float32), np.arange(4)).tolist() == [9, 9, 9, 9]


def test_hiding_the_history_takes_items_out_of_the_way() -> None:
    scores = np.array([[9, 8, 7, 6], [9, 8, 7, 6]], dtype=np.float32)
    hide(scores, [np.array([0, 1, 0]), np.array([2])])
    assert target_ranks(scores, np.array([2, 3])).tolist() == [1, 3]
    assert target_ranks(scores, np.array([1, 2])).tolist() == [np.inf, np.inf]
    assert best_items(scores, 4).tolist() == [[2, 3, -1, -1], [0, 1, 3, -1]]


def test_an_empty_history_hides_nothing() -> None:
    scores = np.zeros((2, 3), dtype=np.float32)
    hide(scores, [np.array([], dtype=np.int32), np.array([1], dtype=np.int32)])
    assert (scores == -np.inf).tolist() == [[False, False, False], [False, True, False]]


@given(scores=tied_scores, k=st.integers(1, 15))
def test_best_items_equal_a_sort(scores: np.ndarray, k: int) -> None:
    expected = [(by_lowest_index(row)[:k] + [-1] * k)[:k] for row in scores]
    assert best_items(scores, k).tolist() == expected


@given(scores=tied_scores, data=st.data())
def test_ranks_equal_a_sort(scores: np.ndarray, data: st.DataObject) -> None:
    targets = data.draw(arrays(np.int64, len(scores), elements=st.integers(0, scores.shape[1] - 1)))
    for row, target, pessimistic, lowest in zip(
        scores, targets, target_ranks(scores, targets), target_ranks(scores, targets, "lowest-index"), strict=True
    ):
        order = by_lowest_index(row)
        if row[target] == -np.inf:
            assert pessimistic == lowest == np.inf
        else:
            assert lowest == order.index(target) + 1
            assert pessimistic == max(order.index(item) for item in order if row[item] == row[target]) + 1
    everything = best_items(scores, scores.shape[1])
    assert np.array_equal(ranks_in_lists(everything, targets), target_ranks(scores, targets, "lowest-index"))
