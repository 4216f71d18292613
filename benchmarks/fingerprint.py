"""What decides a machine's speed beside its processor: frequency policy, GPU, container, hypervisor, power."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from lightrec.runtime.doctor import container_cores

SYSTEM = Path("/sys")


def fingerprint(system: Path = SYSTEM) -> dict[str, Any]:
    """See docs/bench.md; everything that this system does not tell is None.

    Args:
        system: where Linux shows its devices.
    """
    frequency = system / "devices/system/cpu/cpu0/cpufreq"
    most = _text(frequency / "cpuinfo_max_freq")
    return {
        "governor": _text(frequency / "scaling_governor"),
        "mhz": int(most) / 1e3 if most else _now_mhz(),
        "gpus": _gpus(),
        "container": _container(system / "fs/cgroup"),
        "virtual": _virtual(system),
        "power": _power(system),
    }


def _now_mhz() -> float | None:
    """The frequency just now, where the policy tells no highest one."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    found = next((line.split(":")[1] for line in lines if line.startswith("cpu MHz")), None)
    return float(found) if found else None


def _gpus() -> list[dict[str, str]] | None:
    """NVIDIA's, as its own tool tells; None where that is not here."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines()]
    return [dict(zip(("name", "driver", "memory"), row, strict=True)) for row in rows if len(row) == 3]


def _container(groups: Path) -> dict[str, float | int] | None:
    """The limits of the control group that this process is in, of version 2 or 1; None if there are none."""
    cores = container_cores(_text(groups / "cpu.max"))
    memory = _text(groups / "memory.max") or _text(groups / "memory/memory.limit_in_bytes")
    quota, period = _text(groups / "cpu/cpu.cfs_quota_us"), _text(groups / "cpu/cpu.cfs_period_us")
    if cores is None and quota and period and int(quota) > 0:
        cores = int(quota) / int(period)
    found: dict[str, float | int] = {} if cores is None else {"cores": cores}
    if memory and memory.isdigit() and int(memory) < 2**60:  # version 1 writes "none" as a very large number
        found["memory_bytes"] = int(memory)
    return found or None


def _virtual(system: Path) -> str | None:
    """The hypervisor or the machine that it pretends to be; None on bare metal."""
    if " hypervisor" not in (_text(Path("/proc/cpuinfo")) or ""):
        return None
    return _text(system / "hypervisor/type") or _text(system / "class/dmi/id/product_name") or "unnamed hypervisor"


def _power(system: Path) -> dict[str, str | int | None] | None:
    """Mains or battery, charge, and the platform's power profile; None where there is nothing of the kind."""
    supplies = sorted((system / "class/power_supply").glob("*"))
    kinds = {supply: _text(supply / "type") for supply in supplies}
    online = [_text(supply / "online") for supply, kind in kinds.items() if kind in ("Mains", "USB")]
    charge = next((_text(supply / "capacity") for supply, kind in kinds.items() if kind == "Battery"), None)
    profile = _text(system / "firmware/acpi/platform_profile")
    if not online and charge is None and profile is None:
        return None
    source = "mains" if "1" in online else "battery" if charge else None
    return {"source": source, "battery_percent": int(charge) if charge else None, "profile": profile}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
