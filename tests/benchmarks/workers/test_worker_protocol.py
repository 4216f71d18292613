"""Arrivals that wait for nobody, and calls from several threads."""

import sys
import time

import numpy as np
import pytest

from lightrec.benchmarks.harness.cold_start import start
from lightrec.benchmarks.harness.scenarios import best_rate, drift, next_rate
from lightrec.benchmarks.workers.worker_protocol import concurrent_calls, open_loop, time_calls
from lightrec.errors import ModelError


def stalling(every=200, stall=0.1):
    """A call that takes 0.1 s once in ``every`` times, and nothing otherwise."""
    calls = iter(range(1, 10**9))
    return lambda value: time.sleep(stall) if next(calls) % every == 0 else None


def test_a_stall_is_felt_by_all_that_arrive_meanwhile():
    alone = time_calls(stalling(), [0], 0, 0.3)
    arrivals = np.arange(1, 501) / 500  # 500 a second
    behind = open_loop(stalling(), [0], 0, arrivals, patience=5.0)
    assert len(behind) == 500
    # Two stalls of 0.1 s, with 50 arrivals in each: every fifth request waits, half of these more than 50 ms.
    assert np.mean(behind > 50e6) >= 0.08
    assert np.mean(alone > 50e6) <= 0.01


def test_a_request_is_answered_after_its_arrival_and_in_order():
    seen = []
    begin = time.perf_counter()
    timings = open_loop(lambda value: seen.append((value, time.perf_counter())), [0, 1, 2], 1, np.array([0.05, 0.1]), 1)
    assert [value for value, _ in seen] == [1, 1, 2]  # the first is not counted
    assert seen[1][1] - begin >= 0.05 and seen[2][1] - begin >= 0.1
    assert (timings > 0).all()


def test_what_has_not_begun_in_time_is_dropped():
    timings = open_loop(lambda value: time.sleep(0.02), [0], 0, np.arange(1, 21) / 1000, patience=0.05)
    assert 1 <= len(timings) <= 5
    assert (np.diff(timings) > 15e6).all()  # each waits for all before it


def test_threads_call_at_once():
    timings, elapsed = concurrent_calls(lambda value: time.sleep(0.02), [0], 3, 0.1)
    assert timings.min() >= 20e6
    assert len(timings) * 20e6 > elapsed * 1.2  # more than one thread could


def test_what_a_thread_raises_is_not_lost():
    calls = iter(range(1, 10**9))

    def fails_once(value):
        if next(calls) == 5:
            raise MemoryError

    with pytest.raises(MemoryError):
        concurrent_calls(fails_once, [0], 2, 0.05)


def point(rate, p99=1.0, dropped=0):
    return {"rate": rate, "p99": p99, "dropped": dropped}


@pytest.mark.parametrize(
    ("curve", "best", "following"),
    [
        ([point(10), point(20), point(30, p99=9)], 20, 25),
        ([point(10), point(20, dropped=1), point(30)], 10, 15),  # a luckier higher rate does not count
        ([point(10, p99=9), point(20, p99=9)], None, 5),
        ([point(10), point(20)], 20, 23),
    ],
)
def test_the_search_for_the_highest_rate(curve, best, following):
    assert best_rate(curve, bound=5.0) == best
    assert next_rate(curve, bound=5.0) == following


def test_drift_is_of_quarters():
    assert drift([1, 1, 5, 5, 5, 5, 2, 2]) == 1.0


def test_a_fresh_process_says_its_first_line_and_all_that_follows():
    code = "import sys; sys.stderr.write('words ' * 50_000); print('ready'); print('{}')"
    for _ in range(3):
        milliseconds, line, more = start([sys.executable, "-c", code])
        assert (line, more) == ("ready\n", "{}\n") and milliseconds > 1
    with pytest.raises(ModelError, match="the variant failed: ZeroDivisionError"):
        start([sys.executable, "-c", "print('ready', flush=True); 1 / 0"], name="the variant")
