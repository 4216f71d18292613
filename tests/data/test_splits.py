"""Splits: small examples worked out by hand, and rules that hold for any data."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from lightrec.data.dataset import Dataset
from lightrec.data.splits import leave_one_out, make_split, temporal
from lightrec.errors import ConfigError, DataError


def dataset_of(sequences, times=None):
    """A data set with these item sequences (one a user) over items 0 to 9; without times it is order-only."""
    lengths = [len(sequence) for sequence in sequences]
    return Dataset(
        path=Path("nowhere"),
        description={"name": "small", "items": 10, "order_only": times is None},
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        items=np.concatenate(sequences).astype(np.int32),
        timestamps=np.concatenate([range(n) for n in lengths] if times is None else times).astype(np.int64),
    )


def cases_of(cases):
    return [
        (int(user), cases.history(case).tolist(), int(target))
        for case, (user, target) in enumerate(zip(cases.users, cases.targets, strict=True))
    ]


def training_of(split):
    return [part.tolist() for part in np.split(split.train_items, split.train_offsets[1:-1])]


def test_leave_one_out_by_hand():
    split = leave_one_out(dataset_of([[0, 1, 2, 3], [4, 5], [6], [7, 8, 7]]))
    assert training_of(split) == [[0, 1], [4, 5], [6], [7]]
    assert split.train_timestamps.tolist() == [0, 1, 0, 1, 0, 0]
    assert cases_of(split.validation) == [(0, [0, 1], 2), (3, [7], 8)]
    assert cases_of(split.test) == [(0, [0, 1, 2], 3), (3, [7, 8], 7)]
    assert split.popularity().tolist() == [1, 1, 0, 0, 1, 1, 1, 1, 0, 0]
    assert split.name == "leave-one-out" and split.n_items == 10


# Times 1..20. The quantile 0.75 (method "lower") of 20 values is the 15th (index floor(0.75 * 19) = 14), 15: the test
# point. Of the 15 values up to it, index floor(0.75 * 14) = 10 gives 11: the validation point.
SEQUENCES = [[0, 1, 2, 3, 4, 5], [6, 7, 8], [1, 2, 3, 4], [9, 8, 7, 6, 5], [0, 1]]
TIMES = [[1, 2, 11, 12, 16, 17], [3, 4, 5], [6, 13, 14, 15], [7, 8, 9, 10, 20], [18, 19]]


def test_temporal_by_hand():
    split = temporal(dataset_of(SEQUENCES, TIMES), 0.75)
    assert training_of(split) == [[0, 1, 2], [6, 7, 8], [1], [9, 8, 7, 6], []]
    assert split.train_timestamps.max() == 11
    assert cases_of(split.validation) == [(0, [0, 1, 2], 3), (2, [1, 2, 3], 4)]
    assert cases_of(split.test) == [(0, [0, 1, 2, 3, 4], 5), (3, [9, 8, 7, 6], 5), (4, [0], 1)]


def test_temporal_successive_by_hand():
    """Every event after the test point that has a history; user 4's first event has none."""
    split = temporal(dataset_of(SEQUENCES, TIMES), 0.75, successive=True)
    expected = [(0, [0, 1, 2, 3], 4), (0, [0, 1, 2, 3, 4], 5), (3, [9, 8, 7, 6], 5), (4, [0], 1)]
    assert cases_of(split.test) == expected


def test_events_at_a_point_belong_before_it():
    """Of 1, 1, 1, 1, 2, 2, 3, 3 index floor(0.6 * 7) = 4 is 2; of the six up to 2, index floor(0.6 * 5) = 3 is 1."""
    sequences, times = [[0, 1, 2, 3], [4, 5, 6, 7]], [[1, 1, 2, 3], [1, 1, 2, 3]]
    split = temporal(dataset_of(sequences, times), 0.6)
    assert training_of(split) == [[0, 1], [4, 5]]
    assert cases_of(split.validation) == [(0, [0, 1], 2), (1, [4, 5], 6)]
    assert cases_of(split.test) == [(0, [0, 1, 2], 3), (1, [4, 5, 6], 7)]


def test_cases_can_be_chosen():
    test = leave_one_out(dataset_of([[0, 1, 2], [3, 4, 5], [6, 7, 8]])).test
    assert cases_of(test.take(np.array([2, 0]))) == [(2, [6, 7], 8), (0, [0, 1], 2)]
    assert cases_of(test.take(np.array([False, True, False]))) == [(1, [3, 4], 5)]
    assert len(test) == 3


def test_what_cannot_be_split_says_why():
    with pytest.raises(DataError, match="order-only"):
        make_split(dataset_of([[0, 1, 2]]), "temporal")
    with pytest.raises(DataError, match="No user of small has three events"):
        make_split(dataset_of([[0, 1], [2]]))
    with pytest.raises(DataError, match="leaves 0 validation and 0 test cases"):
        make_split(dataset_of([[0, 1, 2]], [[5, 5, 5]]), "temporal")
    with pytest.raises(ConfigError, match="'loo' is not known"):
        make_split(dataset_of([[0, 1, 2]]), "loo")
    for quantile in (0, 1, -0.5, float("nan")):
        with pytest.raises(DataError, match="between 0 and 1"):
            make_split(dataset_of([[0, 1, 2]], [[1, 2, 3]]), "temporal", quantile)


HISTORIES = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=8), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(histories=HISTORIES)
def test_leave_one_out_gives_every_event_one_role(histories):
    sequences = [[item for item, _ in history] for history in histories]
    assume(any(len(sequence) >= 3 for sequence in sequences))
    split = leave_one_out(dataset_of(sequences))
    rebuilt = training_of(split)
    for cases in (split.validation, split.test):
        for user, history, target in cases_of(cases):
            assert history == rebuilt[user]
            rebuilt[user].append(target)
    assert rebuilt == sequences
    assert split.validation.users.tolist() == split.test.users.tolist()


@settings(max_examples=80, deadline=None)
@given(histories=HISTORIES, quantile=st.floats(0.05, 0.95), successive=st.booleans())
def test_the_temporal_split_never_looks_ahead(histories, quantile, successive):
    histories = [sorted(history, key=lambda event: event[1]) for history in histories]
    sequences = [[item for item, _ in history] for history in histories]
    times = [[time for _, time in history] for history in histories]
    assume(any(sequences))
    dataset = dataset_of(sequences, times)
    try:
        split = temporal(dataset, quantile, successive=successive)
    except DataError as error:
        assume("leaves" not in str(error))
        raise
    clock = np.asarray(dataset.timestamps)
    validated, tested = clock[split.validation.ends], clock[split.test.ends]
    # One clock: all of training, then every validation target, then every test target.
    assert split.train_timestamps.max() < validated.min()
    assert validated.max() < tested.min()
    for user, (whole, trained) in enumerate(zip(sequences, training_of(split), strict=True)):
        assert trained == whole[: len(trained)]
        assert all(time > split.train_timestamps.max() for time in times[user][len(trained) :])
    for cases in (split.validation, split.test):
        assert (cases.targets == np.asarray(dataset.items)[cases.ends]).all()
        assert (cases.starts == dataset.offsets[cases.users]).all()
        assert (cases.ends > cases.starts).all() and (cases.ends < dataset.offsets[cases.users + 1]).all()
    asked_once = [split.validation.users] if successive else [split.validation.users, split.test.users]
    assert all(len(set(users.tolist())) == len(users) for users in asked_once)


@settings(max_examples=80, deadline=None)
@given(histories=HISTORIES, quantile=st.floats(0.05, 0.95))
def test_the_last_successive_case_of_a_user_is_the_last_target(histories, quantile):
    histories = [sorted(history, key=lambda event: event[1]) for history in histories]
    assume(any(histories))
    dataset = dataset_of([[i for i, _ in h] for h in histories], [[t for _, t in h] for h in histories])
    try:
        last, successive = temporal(dataset, quantile).test, temporal(dataset, quantile, successive=True).test
    except DataError:
        assume(False)
    final = {user: (user, history, target) for user, history, target in cases_of(successive)}
    assert list(final.values()) == cases_of(last)
