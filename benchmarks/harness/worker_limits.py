"""Limit the cores and memory of workers, as on a small board."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any

from lightrec.errors import ConfigError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PROFILES = {"edge": (1, 512 * 2**20)}
"""Cores and bytes of memory by the name of the profile."""

MAX_BYTES = 2**50
"""More memory than any machine has."""

UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of every worker; made with :func:`make_limits`."""

    cores: tuple[int, ...] | None = None
    """Numbers of the cores that it may run on; None for all."""
    memory_bytes: int | None = None
    """Maximum bytes of private memory; None for no limit."""
    profile: str | None = None
    """The profile that they come from."""

    def apply(self, process: int) -> None:
        """Apply the limits to the process with this id, and to all that it starts.

        Memory is limited by RLIMIT_DATA, which counts private memory that can be written. RLIMIT_AS would also count
        what a runtime reserves and never touches, and every mapped file.
        """
        if self.cores is not None:
            os.sched_setaffinity(process, self.cores)
        if self.memory_bytes is not None:
            resource.prlimit(process, resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))

    def to_json(self) -> dict[str, Any] | None:
        """Return the limits for rows; None without limits."""
        if self.cores is None and self.memory_bytes is None:
            return None
        return {
            "cores": None if self.cores is None else len(self.cores),
            "memory_bytes": self.memory_bytes,
            "profile": self.profile,
            "enforced_by": {
                "cores": None if self.cores is None else "sched_setaffinity",
                "memory": None if self.memory_bytes is None else "RLIMIT_DATA",
            },
        }


def make_limits(cores: int | None = None, memory: str | None = None, profile: str | None = None) -> Limits:
    """Make limits from the options of the command line.

    Args:
        cores: how many.
        memory: such as ``512MB``; MB here are 2^20 bytes.
        profile: a name of :data:`PROFILES`, whose values the other two may change.

    Raises:
        ConfigError: if there are fewer cores, the memory cannot be parsed, or this system cannot enforce limits.
    """
    if profile is not None and profile not in PROFILES:
        raise ConfigError(f"--profile is {profile!r}: choose from {', '.join(PROFILES)}.")
    profile_cores, bytes_ = PROFILES[profile] if profile else (None, None)
    cores = profile_cores if cores is None else cores
    bytes_ = bytes_ if memory is None else parse_bytes(memory)
    if cores is None and bytes_ is None:
        return Limits()
    if not hasattr(os, "sched_setaffinity") or not hasattr(resource, "prlimit"):
        raise ConfigError("--cores, --memory and --profile are enforced on Linux alone: leave them out here.")
    return Limits(None if cores is None else _choose(cores), bytes_, profile)


def parse_bytes(text: str) -> int:
    """Parse bytes such as ``512MB`` or ``1.5GB``.

    >>> parse_bytes("512MB")
    536870912
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]B)\s*", text.upper().replace("IB", "B"))
    size = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 1 <= size <= MAX_BYTES:
        raise ConfigError(f"--memory is {text[:40]!r}: write it as 512MB or 2GB.")
    return int(size)


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _choose(cores: int) -> tuple[int, ...]:
    """Choose the last of the usable cores: the first ones do most of the system's work."""
    usable = usable_cores()
    if not 1 <= cores <= len(usable):
        raise ConfigError(f"--cores is {cores}: choose from 1 to {len(usable)}.")
    return usable[-cores:]
