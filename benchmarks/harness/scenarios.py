"""Run the scenarios of ``lightrec bench``, interleaved over all variants; docs/bench.md describes them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lightrec.benchmarks.harness.cold_start import start
from lightrec.benchmarks.harness.energy import EnergyMeter
from lightrec.benchmarks.harness.interleaved_timing import rotated, warm_up
from lightrec.benchmarks.harness.noise import NoiseMeter
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import LoadPoint, Row, ServerResult, SoakResult, StreamPoint, WarmUp
from lightrec.errors import ModelError

SHARES = (0.2, 0.5, 0.7, 0.85, 1.0)
"""Arrival rates tried for every variant, as shares of the rate that its single-stream calls would allow."""
REFINEMENTS = 3
"""Number of further rates, between the highest that kept the bound and the lowest that did not."""
STREAM_ROUNDS = 5
"""Time slices of every variant with every number of streams."""
SLICES = 20
"""Number of time slices of a soak."""
MAX_COLD_SECONDS = 12.0
"""A variant whose starts have taken this long in total is not started again."""


@dataclasses.dataclass
class Timings:
    """Times of one variant."""

    nanoseconds: dict[str, list[np.ndarray]]
    """By probe, the single calls of each round."""
    warmups: dict[str, WarmUp]
    """By probe, how it became warm."""
    cpu_ms: list[float] = dataclasses.field(default_factory=list)
    """Processor time of a single-stream call, by round."""
    energy_mj: list[float] = dataclasses.field(default_factory=list)
    """Energy of a single-stream call, by round, if it can be read."""


@dataclasses.dataclass
class Starts:
    """New processes of one variant, start by start; empty for a variant that cannot be started this way."""

    milliseconds: list[float] = dataclasses.field(default_factory=list)
    """Time to the first answer."""
    memory: list[dict[str, int | None]] = dataclasses.field(default_factory=list)
    """Memory of the process."""
    failure: str | None = None
    """Why a start failed; None if none did."""


def probes(plan: Plan, worker: WorkerProcess) -> list[str]:
    """Return the probes of a worker that the rounds time."""
    wanted = ["single", "graph"]
    wanted += ["session"] if plan.asks_for("session") else []
    wanted += [f"batch {size}" for size in plan.batches] if plan.asks_for("offline") else []
    return [probe for probe in wanted if probe in worker.facts["calls"]]


def warm(worker: WorkerProcess, plan: Plan) -> Timings:
    """Run uncounted time slices of every probe until it is stable; one slice for batches, whose calls are long."""
    names = probes(plan, worker)
    slice_seconds, warmups = _slice_seconds(plan, names) / 2, {}
    for name in names:
        if name.startswith("batch"):
            worker.time(name, 0, slice_seconds)
        else:
            warmups[name] = warm_up(worker, name, slice_seconds)
    return Timings({name: [] for name in names}, warmups)


def rounds(
    running: Sequence[WorkerProcess],
    timings: Sequence[Timings],
    plan: Plan,
    inputs: int,
    noise: NoiseMeter,
    energy: EnergyMeter,
) -> None:
    """Time all probes of all variants into ``timings``; the order rotates by one from round to round.

    A worker that fails is not timed again; the others go on.

    Args:
        running: V workers, warm.
        timings: receives the times of each worker.
        plan: the settings of the run.
        inputs: number of histories; each round starts one round's share of them after the start of the last.
        noise: samples between the rounds.
        energy: read around the single-stream slices.
    """
    every = list(dict.fromkeys(name for own in timings for name in own.nanoseconds))
    for number in range(plan.rounds):
        noise.sample()
        for probe in every:
            batch = int(probe.split()[1]) if probe.startswith("batch") else 1
            first = number * -(-inputs // batch) // plan.rounds
            for place in rotated(len(running), number):
                own = timings[place]
                if probe not in own.nanoseconds:
                    continue
                before = energy.read()
                answer = running[place].try_ask("time", probe, first=first, seconds=_slice_seconds(plan, every))
                used = energy.millijoules(before, energy.read())
                if answer is None:
                    continue
                own.nanoseconds[probe].append(np.array(answer["timings"], dtype=np.int64))
                if probe == "single":
                    own.cpu_ms.append(answer["cpu_ns_per_call"] / 1e6)
                    # One call of the slice is made but not timed.
                    own.energy_mj += [] if used is None else [used / (len(answer["timings"]) + 1)]


def streams(running: Sequence[WorkerProcess], plan: Plan) -> list[list[StreamPoint] | None]:
    """Call from several threads at once; None for a variant that fails."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for number in range(STREAM_ROUNDS):
        for count in plan.streams:
            for place in rotated(len(running), number):
                seconds = plan.stream_seconds / (2 * STREAM_ROUNDS * len(plan.streams))
                answer = running[place].try_ask("streams", "single", streams=count, seconds=seconds)
                if answer is not None:
                    found.setdefault((place, count), []).append(answer)
    return [
        [_stream(count, found[place, count]) for count in plan.streams] if one.failure is None else None
        for place, one in enumerate(running)
    ]


def server(running: Sequence[WorkerProcess], mean_ms: Sequence[float], plan: Plan) -> list[ServerResult | None]:
    """Send Poisson arrivals at rising rates, then around the highest rate within the bound; None for a failure.

    Args:
        running: V workers.
        mean_ms: mean time of each worker's single-stream calls.
        plan: its ``p99_ms`` is the bound.
    """
    seconds = max(0.2, plan.stream_seconds / (len(SHARES) + REFINEMENTS))
    curves: list[list[LoadPoint]] = [[] for _ in running]
    tries: list[Callable[[int], float | None]] = [
        *(lambda place, share=share: share * 1e3 / mean_ms[place] for share in SHARES),  # type: ignore[misc]
        *[lambda place: next_rate(curves[place], plan.p99_ms)] * REFINEMENTS,
    ]
    for number, choose in enumerate(tries):
        for place, worker in enumerate(running):
            rate = choose(place) if worker.failure is None else None
            point = None if rate is None else _arrivals(worker, rate, seconds, plan.seed + number)
            curves[place] += [] if point is None else [point]
    return [
        {
            "p99_bound_ms": plan.p99_ms,
            "max_rate": best_rate(curve, plan.p99_ms),
            "seconds": seconds,
            "curve": sorted(curve, key=lambda point: point["rate"]),
        }
        if one.failure is None
        else None
        for one, curve in zip(running, curves, strict=True)
    ]


def best_rate(curve: Sequence[Row], bound: float) -> float | None:
    """Return the highest rate within the bound whose lower rates are all within it; None if there is none.

    >>> point = {"dropped": 0, "p99": 1.0}
    >>> best_rate([{"rate": 1.0, **point}, {"rate": 3.0, **point}, {"rate": 2.0, **point, "dropped": 1}], 5.0)
    1.0
    """
    best = None
    for point in sorted(curve, key=lambda point: point["rate"]):
        if point["dropped"] or point["p99"] is None or point["p99"] > bound:
            break
        best = point["rate"]
    return best


def next_rate(curve: Sequence[Row], bound: float) -> float | None:
    """Choose the next rate: halfway between the highest within the bound and the lowest beyond it."""
    best, rates = best_rate(curve, bound), sorted(point["rate"] for point in curve)
    if best is None:
        return rates[0] / 2
    above = [rate for rate in rates if rate > best]
    return (best + above[0]) / 2 if above else best * 1.15


def cold(
    commands: Sequence[Sequence[str] | None], plan: Plan, progress: Callable[[str], None], names: Sequence[str]
) -> list[Starts]:
    """Start new processes, interleaved; a variant that fails is not started again.

    The first start, which finds the files in no cache, is not counted, unless it is the only one there is time for.
    """
    found = [Starts() for _ in commands]
    starts = plan.cold_starts + 1 if plan.asks_for("cold-start") else 1
    for number in range(starts):
        progress(f"New processes, {number + 1} of {starts}")
        for place in rotated(len(commands), number):
            command, own = commands[place], found[place]
            if command is None or own.failure or sum(own.milliseconds) > 1e3 * MAX_COLD_SECONDS:
                continue
            try:
                milliseconds, _, more = start(command, plan.limits, names[place])
                memory = _held(more, names[place])
            except ModelError as error:
                own.failure = str(error)
                continue
            own.milliseconds.append(milliseconds)
            own.memory.append(memory)
    for own in found:
        own.milliseconds, own.memory = own.milliseconds[1:] or own.milliseconds, own.memory[1:] or own.memory
    return found


def _held(more: str, name: str) -> dict[str, int | None]:
    """Parse the memory that a new process reported."""
    try:
        memory = json.loads(more)
        return {held: memory[held] for held in ("peak_bytes", "rss_bytes")}
    except (ValueError, LookupError, TypeError):
        raise ModelError(f"{name} failed: it told something else than its memory: {more[:80]!r}") from None


def soak(running: Sequence[WorkerProcess], plan: Plan) -> list[SoakResult | None]:
    """Call without pause, one variant after the other; drifts are the last quarter over the first, less 1."""
    rows: list[SoakResult | None] = []
    for worker in running:
        answers_or_none = [
            worker.try_ask("time", "single", first=number, seconds=plan.seconds / SLICES) for number in range(SLICES)
        ]
        answers = [answer for answer in answers_or_none if answer is not None]
        if worker.failure is not None:
            rows.append(None)
            continue
        medians = [float(np.median(answer["timings"])) / 1e6 for answer in answers]
        held = [answer["rss_bytes"] for answer in answers]
        rows.append(
            {
                "seconds": plan.seconds,
                "p50_ms": medians,
                "rss_bytes": held,
                "p50_drift": drift(medians),
                "memory_drift": None if None in held else drift(held),
            }
        )
    return rows


def drift(values: Sequence[float]) -> float:
    """Return the median of the last quarter over that of the first, less 1.

    >>> drift([2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 2.5, 2.5])
    0.25
    """
    quarter = max(1, len(values) // 4)
    return float(np.median(values[-quarter:]) / np.median(values[:quarter])) - 1


def _slice_seconds(plan: Plan, names: Sequence[str]) -> float:
    return plan.stream_seconds / (plan.rounds * len(names))


def _stream(count: int, answers: Sequence[Row]) -> StreamPoint:
    p50, p99 = _percentiles([answer["timings"] for answer in answers])
    rate = float(np.median([answer["per_second"] for answer in answers]))
    return {"streams": count, "per_second": rate, "p50": p50, "p99": p99}


def _arrivals(worker: WorkerProcess, rate: float, seconds: float, seed: int) -> LoadPoint | None:
    answer = worker.try_ask("server", "single", first=0, rate=rate, seconds=seconds, seed=seed)
    if answer is None:
        return None
    answered = answer["timings"]
    p50, p99 = _percentiles([answered]) if answered else (None, None)
    return {
        "rate": rate,
        "achieved": answer["achieved"],
        "count": len(answered) + answer["dropped"],
        "p50": p50,
        "p99": p99,
        "dropped": answer["dropped"],
    }


def _percentiles(timings: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return p50 and p99 of all calls, in milliseconds."""
    every = np.concatenate([np.asarray(calls, dtype=np.float64) for calls in timings]) / 1e6
    p50, p99 = np.percentile(every, (50, 99))
    return float(p50), float(p99)
