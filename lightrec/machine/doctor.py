"""Find out what this machine can run: versions, processor, memory, runtimes, and missing parts."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from lightrec.errors import LightrecError
from lightrec.extras import EXTRAS, missing_modules
from lightrec.runtime.backends.registry import is_installed
from lightrec.telemetry import silence_onnxruntime

PACKAGES = (
    "lightrec",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "tensorrt",
    "openvino",
    "torch",
    "transformers",
    "optimum",
    "onnx",
    "nncf",
    "polars",
)
"""The packages whose versions can affect a result; three of them contain ONNX Runtime, and usually one is installed."""

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
"""Where Linux describes itself and its processes, and where it shows the limits of containers."""

FEATURES = {
    "sse4_2": "SSE4.2",
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "asimdhp": "NEON FP16",
    "i8mm": "INT8 matrix multiply",
    "bf16": "BF16",
    "sve": "SVE",
    "sve2": "SVE2",
}
"""Processor features that decide how fast small models run, by their name in /proc/cpuinfo."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The result of :func:`diagnose`; None means that the operating system does not report the value."""

    python: str
    """Version of Python."""
    system: str
    """Operating system and machine type."""
    processor: str | None
    """Model name of the processor."""
    features: list[str] | None
    """The :data:`FEATURES` that the processor has."""
    cores: int
    """Logical cores of the machine."""
    usable_cores: float
    """Cores that this process may use: the smaller of its affinity and its container's limit."""
    memory_bytes: int | None
    """Memory that this process may use: the smaller of the machine's and its container's limit."""
    packages: dict[str, str | None]
    """Version of each of :data:`PACKAGES`; None if it is not installed."""
    onnxruntime_providers: list[str]
    """Available execution providers of ONNX Runtime; empty if it cannot be loaded. The CPU's is the default."""
    openvino_devices: dict[str, str]
    """Devices that OpenVINO sees, with their names; empty without OpenVINO. The CPU is the default."""
    extras: dict[str, list[str]]
    """For each extra of lightrec, the missing modules; an empty list if it is complete."""
    problems: list[str]
    """What is wrong with the base installation, one sentence each; missing extras do not count."""


def diagnose() -> Diagnosis:
    """Examine this machine, without changing anything or sending anything anywhere."""
    problems: list[str] = []
    providers = _onnxruntime_providers(problems)
    devices = _openvino_devices(problems)
    name, features = processor()
    return Diagnosis(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=name,
        features=features,
        cores=os.cpu_count() or 1,
        usable_cores=_usable_cores(),
        memory_bytes=_memory(),
        packages={name: _version(name) for name in PACKAGES},
        onnxruntime_providers=providers,
        openvino_devices=devices,
        extras={extra: missing_modules(extra) for extra in EXTRAS},
        problems=problems,
    )


def require_healthy(diagnosis: Diagnosis) -> None:
    """Raise :class:`LightrecError` if the base installation does not work."""
    if diagnosis.problems:
        raise LightrecError(" ".join(diagnosis.problems))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _onnxruntime_providers(problems: list[str]) -> list[str]:
    try:
        import onnxruntime
    except ImportError as error:  # a broken wheel or a missing system library, as well as no package
        problems.append(f"ONNX Runtime cannot be loaded ({error}): run  pip install --force-reinstall onnxruntime")
        return []
    silence_onnxruntime()
    return list(onnxruntime.get_available_providers())


def _openvino_devices(problems: list[str]) -> dict[str, str]:
    if not is_installed("openvino"):
        return {}
    try:
        import openvino

        core = openvino.Core()
        return {device: core.get_property(device, "FULL_DEVICE_NAME") for device in core.available_devices}
    except (ImportError, RuntimeError) as error:
        problems.append(f"OpenVINO is installed but does not start ({error}): run  pip install -U openvino")
        return {}


def processor(told: Path = PROC) -> tuple[str | None, list[str] | None]:
    """Return the processor's model name and features; on Linux from /proc/cpuinfo, elsewhere only the name.

    Args:
        told: the folder /proc. For an ARM board whose cpuinfo has no name, the board's name is there.
    """
    facts = _cpuinfo(_read(told / "cpuinfo") or "")
    board = (_read(told / "device-tree/model") or "").strip("\0 \n")
    name = facts.get("model name") or facts.get("Model") or board or platform.processor() or None
    flags = facts.get("flags") or facts.get("Features")
    return name, None if flags is None else known_features(flags)


def known_features(flags: str) -> list[str]:
    """Return the readable names of the known features among ``flags``.

    >>> known_features("fpu sse4_2 avx2 avx512_vnni")
    ['SSE4.2', 'AVX2', 'AVX-512 VNNI']
    """
    present = set(flags.split())
    return [name for flag, name in FEATURES.items() if flag in present]


def _cpuinfo(text: str) -> dict[str, str]:
    """Return the first value of each key of /proc/cpuinfo."""
    facts: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts


def _usable_cores() -> float:
    allowed = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    return min(allowed, container_limits()[0] or allowed)


def container_limits(groups: Path = GROUPS, told: Path = PROC) -> tuple[float | None, int | None]:
    """Return the cores and bytes of memory that this process's control groups (v2 or v1) allow; None for no limit.

    The smallest limit of its group and all groups above applies. In a container, the groups above are often hidden and
    the path of its group is the host's; then only the groups that exist are read.

    Args:
        groups: where the groups are mounted.
        told: the folder /proc, which lists the groups of this process.
    """
    cores, memory = [], []
    for line in (_read(told / "self/cgroup") or "0::/").splitlines():
        _, kinds, path = line.split(":", 2)
        for group in _upwards(groups, kinds, path):
            cores.append(_granted_cores(group))
            memory.append(_granted_memory(group))
    return min(filter(None, cores), default=None), min(filter(None, memory), default=None)


def _upwards(groups: Path, kinds: str, path: str) -> Iterator[Path]:
    """Yield the folders of a group and of all groups above it; in version 1 each kind of limit has separate groups."""
    root = groups / kinds if kinds else groups
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:count])


def _granted_cores(group: Path) -> float | None:
    quota, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return container_cores(_read(group / "cpu.max"))


def _granted_memory(group: Path) -> int | None:
    limit = (_read(group / "memory.max") or _read(group / "memory.limit_in_bytes") or "max").strip()
    # Version 1 writes "no limit" as a very large number.
    return int(limit) if limit.isdigit() and int(limit) < 2**60 else None


def container_cores(cpu_max: str | None) -> float | None:
    """Return the cores allowed by the text of a cgroup's cpu.max; None if there is no limit.

    >>> container_cores("150000 100000"), container_cores("max 100000"), container_cores(None)
    (1.5, None, None)
    """
    quota, _, period = (cpu_max or "max").partition(" ")
    return None if quota.strip() == "max" else int(quota) / int(period)


def _memory() -> int | None:
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    return min(machine, container_limits()[1] or machine)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
