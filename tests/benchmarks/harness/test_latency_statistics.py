import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrec.benchmarks.harness.latency_statistics import (
    histogram,
    median_interval,
    per_second,
    speedup,
    summarise,
    time_calls,
)


def wait(seconds):
    """Keep the processor busy for so long, by the wall clock."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_call_of_known_length_is_measured_within_a_few_per_cent():
    length = 0.003
    timings = summarise([time_calls(wait, [length], 0, 0.3)])
    assert 3.0 <= timings["min"] <= 3.1  # a busy machine makes some calls longer, and none shorter
    assert timings["min"] <= timings["p50"] <= timings["p99"]


def test_the_clock_adds_almost_nothing():
    timings = time_calls(lambda value: None, [0], 0, 0.05)
    assert len(timings) > 1000
    assert np.min(timings) < 5_000


def test_calls_walk_through_the_inputs_and_the_first_is_not_counted():
    seen = []
    timings = time_calls(seen.append, [0, 1, 2], 1, 0.001)
    assert len(seen) == len(timings) + 1
    assert seen[:5] == [1, 1, 2, 0, 1]


def test_at_least_one_call_is_counted():
    assert len(time_calls(wait, [0.002], 0, 0.0)) == 1


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
    found = {"value": 2.0, "low": 2.0, "high": 2.0, "interval": [2.0, 2.0], "differs": True}
    assert speedup(first, own) == found


def test_a_small_difference_is_none_and_neither_is_one_that_noise_could_make():
    same = [np.array([100])] * 10
    assert not speedup(same, [np.array([99])] * 10)["differs"]
    assert speedup(same, [np.array([90])] * 10)["differs"]
    noisy = [np.array([value]) for value in (50, 60, 70, 90, 90, 90, 110, 120, 130, 140)]
    assert not speedup(same, noisy)["differs"]


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40))
def test_the_interval_of_the_median_holds_it(values):
    low, high = median_interval(values)
    assert low <= np.median(values) <= high


def test_the_interval_of_the_median_is_that_of_the_sign_test():
    assert median_interval(range(6)) == [0, 5]  # 2 / 2**6 = 3 %
    assert median_interval(range(9)) == [1, 7]  # 2 (1 + 9) / 2**9 = 4 %
    assert median_interval(range(20)) == [5, 14]


@given(st.lists(st.integers(1, 10**11), min_size=1, max_size=50))
def test_every_call_is_in_the_histogram(nanoseconds):
    found = histogram([np.array(nanoseconds)])
    edges, counts = found["edges_ms"], found["counts"]
    assert sum(counts) == len(nanoseconds) and len(edges) == len(counts) + 1
    assert edges[0] <= min(nanoseconds) / 1e6 * 1.000001 and max(nanoseconds) / 1e6 <= edges[-1] * 1.000001
    assert counts[0] and counts[-1] and edges == sorted(edges)
