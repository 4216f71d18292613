"""Read the energy of the processor package from RAPL, where the system exposes it; never estimate it."""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Energy counters of all processor packages.

    Args:
        folder: where Linux shows them.
    """

    def __init__(self, folder: Path = POWERCAP):
        self._zones = [
            zone
            for zone in (sorted(folder.glob("*-rapl:*")) if folder.is_dir() else [])
            if (_text(zone / "name") or "").startswith("package") and _text(zone / "energy_uj") is not None
        ]

    def read(self) -> list[int]:
        """Return the counter of each package in microjoules; empty where it cannot be read."""
        return [int(_text(zone / "energy_uj") or 0) for zone in self._zones]

    def millijoules(self, before: list[int], after: list[int]) -> float | None:
        """Return the energy used between two readings; None where nothing can be read."""
        if not self._zones:
            return None
        used = 0
        for zone, start, end in zip(self._zones, before, after, strict=True):
            # A counter wraps to 0 at the end of its range.
            used += end - start if end >= start else end - start + int(_text(zone / "max_energy_range_uj") or 0)
        return used / 1e3


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
