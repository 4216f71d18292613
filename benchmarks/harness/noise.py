"""Measure how noisy the machine is: a calibration loop between rounds, and the CPU time of other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightrec.benchmarks.harness.worker_limits import usable_cores

SAMPLES = 5
"""How many times the loop runs between two rounds."""
STEPS = 20_000
"""Steps of the loop, which take a millisecond or two."""

MAX_SPREAD, MAX_OTHERS, MAX_STEAL = 0.10, 0.10, 0.02
"""Thresholds of a warning: spread of the loop, and shares of the cores' time."""


class NoiseMeter:
    """Measure noise from construction until :meth:`report`.

    Args:
        processes: ids of the running processes that belong to the benchmark; a list that may grow.
        cores: numbers of those that they run on; all usable ones if None.
    """

    def __init__(self, processes: Sequence[int] = (), cores: Sequence[int] | None = None):
        self.processes = processes
        self._loops: list[int] = []
        self._cores = cores or usable_cores()
        self._elsewhere = usable_cores() if cores else None
        self._begin = self._times()

    def sample(self) -> None:
        """Run the calibration loop a few times. Call it between rounds, while all workers wait."""
        if self._elsewhere:
            os.sched_setaffinity(0, self._cores)
        for _ in range(SAMPLES):
            begin = time.perf_counter_ns()
            _fixed_work()
            self._loops.append(time.perf_counter_ns() - begin)
        if self._elsewhere:
            os.sched_setaffinity(0, self._elsewhere)

    def report(self) -> dict[str, Any]:
        """Return the noise for rows. Call it before the workers end. See docs/bench.md."""
        low, middle, high = (float(value) / 1e6 for value in np.percentile(self._loops, (10, 50, 90)))
        found: dict[str, Any] = {
            "calibration_ms": {"p50": middle, "low": low, "high": high},
            "spread": (high - low) / middle,
            **self._shares(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        }
        return found | {"warning": warning(found)}

    def _shares(self) -> dict[str, float | None]:
        end = self._times()
        if self._begin is None or end is None or end["all"] <= self._begin["all"]:
            return {"others": None, "steal": None}
        passed = {name: end[name] - self._begin[name] for name in end}
        return {
            "others": float(max(0.0, passed["busy"] - passed["own"]) / passed["all"]),
            "steal": float(passed["steal"] / passed["all"]),
        }

    def _times(self) -> dict[str, float] | None:
        """Return CPU seconds of the usable cores since boot: all, busy, stolen, and this run's own."""
        lines = _read(Path("/proc/stat")).splitlines()
        tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        wanted = {f"cpu{core}" for core in self._cores}
        rows = [line.split() for line in lines]
        # user, nice, system, idle, iowait, irq, softirq, steal
        found = np.array([[int(v) for v in row[1:9]] for row in rows if row and row[0] in wanted], dtype=np.float64)
        if not len(found):
            return None
        sums = found.sum(axis=0) / tick
        own = sum(os.times()[:4]) + sum(_process_seconds(process, tick) for process in self.processes)
        busy = sums[[0, 1, 2, 5, 6]].sum()
        return {"all": sums.sum(), "busy": busy, "steal": sums[7], "own": own}


def warning(found: dict[str, Any]) -> str | None:
    """Return a sentence if the machine was noisy.

    >>> warning({"spread": 0.02, "others": 0.4, "steal": None})
    'The machine was not quiet: other processes took 40 % of the cores; trust ratios more than single times.'
    """
    reasons = []
    if found["spread"] > MAX_SPREAD:
        reasons.append(f"a fixed loop varied by {found['spread']:.0%}".replace("%", " %"))
    if (found["others"] or 0) > MAX_OTHERS:
        reasons.append(f"other processes took {found['others']:.0%} of the cores".replace("%", " %"))
    if (found["steal"] or 0) > MAX_STEAL:
        reasons.append(f"the host took {found['steal']:.0%} of the cores away".replace("%", " %"))
    if not reasons:
        return None
    return f"The machine was not quiet: {', '.join(reasons)}; trust ratios more than single times."


def _fixed_work() -> int:
    state = 1
    for _ in range(STEPS):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return state


def _process_seconds(process: int, tick: int) -> float:
    """Return the CPU seconds of a process so far; 0 if it has ended and counts among this process's children."""
    fields = _read(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / tick if fields else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
