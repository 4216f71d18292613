"""Measure how a variant gains from threads."""

from __future__ import annotations

import contextlib

from lightrec.benchmarks.harness.harness import Harness, Running
from lightrec.benchmarks.harness.interleaved_timing import time_interleaved, warm_up
from lightrec.benchmarks.harness.latency_statistics import per_second, summarise
from lightrec.benchmarks.harness.worker_limits import usable_cores
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.row_types import ThreadPoint

ROUNDS = 5
"""Time slices of each."""
BATCH = 32
"""Histories per call of the throughput that is reported with the latency."""


def scaling(harness: Harness, one: Running, plan: Plan) -> list[ThreadPoint]:
    """Measure latency and throughput with 1, 2, 4... threads, in separate processes, interleaved.

    The process that is already running is used for the plan's number of threads.

    Raises:
        ModelError: if one of the processes fails.
    """
    most = len(plan.limits.cores or usable_cores())
    counts = [2**power for power in range(most.bit_length()) if 2**power <= most]
    seconds = plan.short_seconds / (2 * ROUNDS * len(counts))
    with contextlib.ExitStack() as stack:
        workers = [
            one.worker
            if count == plan.threads and f"batch {BATCH}" in one.worker.facts["calls"] and one.worker.failure is None
            else stack.enter_context(harness.start_worker(one.variant, count, batches=(BATCH,)))
            for count in counts
        ]
        for worker in workers:
            warm_up(worker, "single", seconds / 2)
        entries = [(worker, probe) for worker in workers for probe in ("single", f"batch {BATCH}")]
        timings = time_interleaved(
            entries, rounds=ROUNDS, seconds=seconds, stride=len(harness.workload.histories) // ROUNDS
        )
    return [
        {
            "threads": count,
            "p50": summarise(timings[2 * place])["p50"],
            "per_second": per_second(timings[2 * place + 1], BATCH),
        }
        for place, count in enumerate(counts)
    ]
