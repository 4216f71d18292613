"""Describe what else decides a machine's speed: frequency policy, GPU, container, hypervisor, power."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from lightrec.machine.doctor import PROC, container_limits

SYSTEM, ROOT = Path("/sys"), Path("/")

JETSON_MODE, JETSON_MODES = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"
"""Where NVIDIA's boards store the number of the current power mode, and the names of all modes."""


def fingerprint(system: Path = SYSTEM, root: Path = ROOT, proc: Path = PROC) -> dict[str, Any]:
    """Return the facts that docs/bench.md lists; what the system does not report is None.

    Args:
        system: where Linux shows its devices.
        root: the root of the files that boards write.
        proc: where Linux lists a process's control groups.
    """
    frequency = system / "devices/system/cpu/cpu0/cpufreq"
    most = _text(frequency / "cpuinfo_max_freq")
    return {
        "governor": _text(frequency / "scaling_governor"),
        "mhz": int(most) / 1e3 if most else _now_mhz(),
        "gpus": _gpus(),
        "container": _container(system / "fs/cgroup", proc),
        "virtual": _virtual(system),
        "power": _power(system, root),
    }


def _now_mhz() -> float | None:
    """Return the current frequency, for systems whose policy reports no maximum."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    found = next((line.split(":")[1] for line in lines if line.startswith("cpu MHz")), None)
    return float(found) if found else None


def _gpus() -> list[dict[str, str]] | None:
    """Return NVIDIA's GPUs as nvidia-smi reports them; None without that tool."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines()]
    return [dict(zip(("name", "driver", "memory"), row, strict=True)) for row in rows if len(row) == 3]


def _container(groups: Path, proc: Path) -> dict[str, float | int] | None:
    """Return the limits of this process's control groups; None if there are none."""
    cores, memory = container_limits(groups, proc)
    limits = {"cores": cores, "memory_bytes": memory}
    return {name: limit for name, limit in limits.items() if limit is not None} or None


def _virtual(system: Path) -> str | None:
    """Return the hypervisor, or the machine that it emulates; None on bare metal."""
    if " hypervisor" not in (_text(Path("/proc/cpuinfo")) or ""):
        return None
    return _text(system / "hypervisor/type") or _text(system / "class/dmi/id/product_name") or "unnamed hypervisor"


def _power(system: Path, root: Path) -> dict[str, str | int | None] | None:
    """Return the power source, charge and power profile; None if the system reports none of them."""
    supplies = sorted((system / "class/power_supply").glob("*"))
    kinds = {supply: _text(supply / "type") for supply in supplies}
    online = [_text(supply / "online") for supply, kind in kinds.items() if kind in ("Mains", "USB")]
    charge = next((_text(supply / "capacity") for supply, kind in kinds.items() if kind == "Battery"), None)
    profile = _text(system / "firmware/acpi/platform_profile") or _jetson_mode(root)
    if not online and charge is None and profile is None:
        return None
    source = "mains" if "1" in online else "battery" if charge else None
    return {"source": source, "battery_percent": int(charge) if charge else None, "profile": profile}


def _jetson_mode(root: Path) -> str | None:
    """Return the power mode of an NVIDIA Jetson, by name if known; None on other machines."""
    found = re.search(r"pmode:(\d+)", _text(root / JETSON_MODE) or "")
    if found is None:
        return None
    number = int(found[1])
    name = re.search(rf"POWER_MODEL +ID={number} +NAME=(\S+)", _text(root / JETSON_MODES) or "")
    return f"nvpmodel {name[1] if name else number}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
