"""The clock: many short turns, taken by all variants alternately, so that the machine's noise hits all alike."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lightrec.benchmarks.turns import time_calls

PERCENTILES = (50, 90, 99)


@dataclasses.dataclass(frozen=True)
class Probe:
    """One thing that is timed of every variant, with the same inputs for all."""

    name: str
    """As in the rows: ``recommend``, ``graph``, ``batch 32``."""
    batch: int
    """Histories in one call."""
    inputs: Sequence[Any]
    """What the calls are given, one after the other and then from the start again."""
    bind: Callable[[Any], Callable[[Any], object]]
    """From a loaded variant to the function that is timed."""


def take_turns(
    probes: Sequence[Probe], variants: Sequence[Any], *, seconds: float, rounds: int
) -> list[dict[str, list[np.ndarray]]]:
    """Time all probes of all variants in ``rounds`` rounds.

    In each round every variant has one turn at each probe; a turn's place in the round moves on by one from round
    to round. A tenth of the time is spent first to warm up, and is not counted. The garbage collector is off.

    Args:
        probes: what is timed.
        variants: loaded, V of them.
        seconds: for each variant, in all.
        rounds: number of rounds.

    Returns:
        For each variant, by the name of the probe, the nanoseconds of each call of each round.
    """
    turn = seconds / (rounds * len(probes))
    taken: list[dict[str, list[np.ndarray]]] = [{probe.name: [] for probe in probes} for _ in variants]
    calls = [[probe.bind(variant) for probe in probes] for variant in variants]
    with _no_garbage_collection():
        for own in calls:
            for probe, call in zip(probes, own, strict=True):
                time_calls(call, probe.inputs, 0, seconds / (10 * len(probes)))
        for number in range(rounds):
            for place, probe in enumerate(probes):
                first = number * len(probe.inputs) // rounds
                for shift in range(len(variants)):
                    variant = (number + shift) % len(variants)
                    taken[variant][probe.name].append(time_calls(calls[variant][place], probe.inputs, first, turn))
    return taken


def summarise(rounds: Sequence[np.ndarray]) -> dict[str, Any]:
    """Milliseconds of single calls: count, mean, min, percentiles over all rounds, and the median of each round.

    >>> summarise([np.array([1_000_000, 3_000_000])])["p50"]
    2.0
    """
    every = np.concatenate(rounds) / 1e6
    percentiles = {
        f"p{p}": float(value) for p, value in zip(PERCENTILES, np.percentile(every, PERCENTILES), strict=True)
    }
    return {
        "count": len(every),
        "mean": float(every.mean()),
        "min": float(every.min()),
        **percentiles,
        "round_medians": [float(np.median(calls)) / 1e6 for calls in rounds],
    }


def per_second(rounds: Sequence[np.ndarray], batch: int) -> float:
    """Histories a second of calls with ``batch`` histories each.

    >>> per_second([np.array([2_000_000, 2_000_000])], batch=32)
    16000.0
    """
    every = np.concatenate(rounds)
    return float(batch * len(every) / (every.sum() / 1e9))


def speedup(first: Sequence[np.ndarray], own: Sequence[np.ndarray]) -> dict[str, float]:
    """How many times faster than the first variant, round by round: the median with the quartiles around it.

    >>> speedup([np.array([6]), np.array([8])], [np.array([2]), np.array([2])])
    {'value': 3.5, 'low': 3.25, 'high': 3.75}
    """
    ratios = [np.median(theirs) / np.median(ours) for theirs, ours in zip(first, own, strict=True)]
    low, value, high = np.percentile(ratios, (25, 50, 75))
    return {"value": float(value), "low": float(low), "high": float(high)}


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
