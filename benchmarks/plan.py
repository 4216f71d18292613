"""Settings of ``lightrec bench``: what it measures, and for how long."""

from __future__ import annotations

import dataclasses

from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.errors import ConfigError

SCENARIOS = ("single-stream", "offline", "multi-stream", "server", "cold-start", "session", "soak")
"""All scenarios; docs/bench.md describes each."""

DEFAULT_SCENARIOS = SCENARIOS[:-1]
"""The scenarios that are measured by default."""

BATCHES, ALL_BATCHES = (32, 256), (8, 32, 128, 256, 512)
"""Batch sizes besides 1, of a usual run and of a full one."""

FULL_SIZES = (1_000, 10_000, 100_000)
"""Catalogue sizes of a full run."""

MAX_ITEMS = 100_000_000
"""The largest catalogue of a random bundle."""

SECONDS, FULL_SECONDS = 5.0, 10.0
"""Seconds for each variant, in a usual run and in a full one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a run."""

    scenarios: tuple[str, ...] = DEFAULT_SCENARIOS
    """The scenarios to measure besides single-stream, which is always measured."""
    seconds: float = SECONDS
    """Seconds for each variant's single-stream calls, batches and sessions together; multi-stream and server take
    about as long again."""
    rounds: int = 10
    """Time slices of every variant for every probe."""
    batches: tuple[int, ...] = BATCHES
    """Batch sizes besides 1."""
    streams: tuple[int, ...] = (1, 2, 4)
    """Numbers of concurrent streams."""
    p99_ms: float = 10.0
    """The bound on the server's 99th percentile, in milliseconds."""
    cold_starts: int = 5
    """New processes to start for each variant, after one that is not counted."""
    scaling: bool = False
    """Whether to measure with 1, 2, 4... threads as well, up to the usable cores."""
    catalogue_sizes: tuple[int, ...] = ()
    """Catalogue sizes of random bundles to time."""
    threads: int = 1
    """Compute threads of each runtime."""
    k: int = 10
    """Recommendations requested in every call."""
    seed: int = 0
    """Random seed of histories, arrival times and intervals."""
    limits: Limits = dataclasses.field(default_factory=Limits)
    """The limits of every worker."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.scenarios if name not in SCENARIOS]
        if unknown:
            raise ConfigError(f"--scenario is {unknown[0]!r}: choose from {', '.join(SCENARIOS)}.")
        if self.threads < 1:
            raise ConfigError(f"--threads is {self.threads}: it must be at least 1.")
        if not 0 < self.seconds <= 86_400:
            raise ConfigError(f"--seconds is {self.seconds}: it must be above 0 and at most 86400.")
        if not self.p99_ms > 0:
            raise ConfigError(f"--p99-ms is {self.p99_ms}: it must be above 0.")
        wrong = [size for size in self.catalogue_sizes if not 100 <= size <= MAX_ITEMS]
        if wrong:
            raise ConfigError(f"--catalogue-sizes holds {wrong[0]}: give sizes from 100 to {MAX_ITEMS:,}.")

    @property
    def stream_seconds(self) -> float:
        """The seconds of the other scenarios; as short as usual if ``seconds`` is the length of a soak."""
        return min(self.seconds, SECONDS) if self.asks_for("soak") else self.seconds

    @property
    def short_seconds(self) -> float:
        """The seconds for each number of threads and each catalogue: these are many and differ far more than noise."""
        return min(self.seconds, SECONDS)

    def asks_for(self, scenario: str) -> bool:
        """Return whether a scenario is measured."""
        return scenario in self.scenarios


def parse_sizes(text: str) -> tuple[int, ...]:
    """Parse sizes such as ``1000,10000``.

    Raises:
        ConfigError: if one is not a whole number.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 20)]
    if wrong:
        raise ConfigError(f"--catalogue-sizes holds {wrong[0][:40]!r}: write whole numbers as 1000,10000,100000.")
    return tuple(sorted({int(word) for word in words}))
