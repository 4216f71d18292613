import gc
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrec.benchmarks.timing import Probe, per_second, speedup, summarise, take_turns, time_calls


def wait(seconds):
    """Keep the processor busy for so long, by the wall clock."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_call_of_known_length_is_measured_within_a_few_per_cent():
    length = 0.003
    taken = summarise([time_calls(wait, [length], 0, 0.3)])
    assert 3.0 <= taken["min"] <= 3.1  # a busy machine makes some calls longer, and none shorter
    assert 3.0 <= taken["p50"] <= 6.0
    assert 3.0 <= taken["mean"] < 30.0


def test_the_clock_adds_almost_nothing():
    taken = time_calls(lambda value: None, [0], 0, 0.05)
    assert len(taken) > 1000
    assert np.min(taken) < 5_000


def test_calls_walk_through_the_inputs_and_the_first_is_not_counted():
    seen = []
    taken = time_calls(seen.append, [0, 1, 2], 1, 0.001)
    assert len(seen) == len(taken) + 1
    assert seen[:5] == [1, 1, 2, 0, 1]


def test_at_least_one_call_is_counted():
    assert len(time_calls(wait, [0.002], 0, 0.0)) == 1


def test_variants_take_turns_at_the_same_inputs():
    calls = []
    probe = Probe("probe", 1, list(range(10)), lambda variant: lambda value: calls.append((variant, value)))
    taken = take_turns([probe], ["a", "b"], seconds=0.0, rounds=4)
    assert [len(own["probe"]) for own in taken] == [4, 4]
    turns = [call for number, call in enumerate(calls) if number % 2][2:]  # without the untimed calls and the warm-up
    assert turns == [("a", 0), ("b", 0), ("b", 2), ("a", 2), ("a", 5), ("b", 5), ("b", 7), ("a", 7)]


def test_the_garbage_collector_rests_only_while_timing():
    states = []
    probe = Probe("probe", 1, [0], lambda variant: lambda value: states.append(gc.isenabled()))
    take_turns([probe], ["a"], seconds=0.0, rounds=2)
    assert not any(states)
    assert gc.isenabled()


def test_it_also_comes_back_after_an_error():
    probe = Probe("probe", 1, [0], lambda variant: lambda value: 1 // value)
    with pytest.raises(ZeroDivisionError):
        take_turns([probe], ["a"], seconds=0.0, rounds=1)
    assert gc.isenabled()


def test_percentiles_by_hand():
    rounds = [np.arange(1, 52) * 1_000_000, np.arange(52, 102) * 1_000_000]  # 1 to 101 ms
    found = summarise(rounds)
    assert (found["count"], found["min"], found["mean"]) == (101, 1.0, 51.0)
    assert (found["p50"], found["p90"], found["p99"]) == pytest.approx((51.0, 91.0, 100.0))
    assert found["round_medians"] == [26.0, 76.5]


@given(st.lists(st.lists(st.integers(1, 10**10), min_size=1, max_size=20), min_size=1, max_size=5))
def test_percentiles_are_those_of_numpy_over_all_rounds(rounds):
    found = summarise([np.array(calls) for calls in rounds])
    every = np.array([value for calls in rounds for value in calls]) / 1e6
    for percentile in (50, 90, 99):
        assert found[f"p{percentile}"] == pytest.approx(np.percentile(every, percentile))


def test_throughput_counts_histories():
    assert per_second([np.array([1_000_000, 3_000_000])], batch=32) == pytest.approx(32 * 2 / 0.004)


def test_the_speedup_is_paired_so_that_a_slow_round_does_not_matter():
    first = [np.array([10, 20, 30]), np.array([2000]), np.array([20])]
    own = [np.array([10]), np.array([1000]), np.array([10])]  # the second round is slow for both
    assert speedup(first, own) == {"value": 2.0, "low": 2.0, "high": 2.0}
