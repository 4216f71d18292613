"""How a variant gains from threads, and how a model of one shape slows down as the catalogue grows."""

from __future__ import annotations

import contextlib
from typing import Any

from lightrec.benchmarks.lab import Lab
from lightrec.benchmarks.limits import usable_cores
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.race import race, warm_up
from lightrec.benchmarks.timing import per_second, summarise
from lightrec.benchmarks.variants import Variant

Row = dict[str, Any]

ROUNDS = 5
"""Turns of each."""
BATCH = 32
"""Whose throughput stands beside the latency."""


def scaling(lab: Lab, variant: Variant, plan: Plan) -> list[Row]:
    """Latency and throughput with 1, 2, 4... threads, in processes of their own that take turns."""
    most = len(plan.limits.cores or usable_cores())
    counts = [2**power for power in range(most.bit_length()) if 2**power <= most]
    turn = plan.stream_seconds / (2 * ROUNDS * len(counts))
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(lab.contestant(variant, count, batches=(BATCH,))) for count in counts]
        for worker in workers:
            warm_up(worker, "single", turn / 2)
        entries = [(worker, probe) for worker in workers for probe in ("single", f"batch {BATCH}")]
        taken = race(entries, rounds=ROUNDS, seconds=turn, stride=len(lab.traffic.histories) // ROUNDS)
    return [
        {
            "threads": count,
            "p50": summarise(taken[2 * place])["p50"],
            "per_second": per_second(taken[2 * place + 1], BATCH),
        }
        for place, count in enumerate(counts)
    ]
