"""Windows: every event is a target once, and padding stays padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lightrec.data.splits import Cases, Split
from lightrec.training.loop.windows import Windows, mask_patterns


def split_of(*sequences: list[int]) -> Split:
    items = np.array([item for sequence in sequences for item in sequence], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
    none = np.array([], dtype=np.int64)
    cases = Cases(items, none, none, none, none)
    return Split("leave-one-out", 100, items, offsets, np.zeros(len(items), np.int64), cases, cases)


def test_a_long_history_is_cut_from_the_end():
    windows = Windows.from_split(split_of([0, 1, 2, 3, 4, 5, 6]), max_length=3)
    assert [windows.items[s:e].tolist() for s, e in zip(windows.starts, windows.ends, strict=True)] == [
        [3, 4, 5, 6],
        [0, 1, 2, 3],
    ]


def test_a_batch_is_right_padded():
    windows = Windows.from_split(split_of([5, 6], [7], [1, 2, 3]), max_length=3)
    items, length = windows.batch([0, 1], padding=100)
    assert items.tolist() == [[5, 6, 100], [1, 2, 3]]
    assert length.tolist() == [2, 3]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(2, 9))
def test_every_event_but_a_users_first_is_a_target_once(lengths, max_length):
    sequences, first = [], 0
    for length in lengths:
        sequences.append(list(range(first, first + length)))
        first += length
    windows = Windows.from_split(split_of(*sequences), max_length)
    targets = [item for s, e in zip(windows.starts, windows.ends, strict=True) for item in range(s + 1, e)]
    assert sorted(targets) == sorted(item for sequence in sequences for item in sequence[1:])
    assert (windows.lengths <= max_length + 1).all()
    assert (windows.lengths >= 2).all()


@given(st.integers(1, 5), st.integers(0, 99))
def test_mask_patterns_hide_something_but_never_the_first(count, seed):
    windows = Windows.from_split(split_of(list(range(12)), [1, 2]), max_length=5)
    masks = mask_patterns(windows, count, 0.3, seed)
    steps = np.arange(masks.shape[2])
    assert masks.any(axis=2).all()
    assert not masks[:, :, 0].any()
    assert not (masks & (steps >= windows.lengths[:, None])[:, None]).any()
    assert (masks[:, 0].sum(axis=1) == 1).all()
    assert (masks[:, 0].argmax(axis=1) == windows.lengths - 1).all()
    np.testing.assert_array_equal(masks, mask_patterns(windows, count, 0.3, seed))
