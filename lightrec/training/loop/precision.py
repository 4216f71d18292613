"""Choice of the precision that a device computes in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from lightrec.errors import ConfigError


def resolve_precision(wanted: str, device: str) -> Literal["fp32", "bf16"]:
    """Return the precision to compute in: ``auto`` is bf16 if the hardware supports it, else fp32.

    Args:
        wanted: ``fp32``, ``bf16`` or ``auto``.
        device: such as ``cpu`` or ``cuda:0``.

    Raises:
        ConfigError: if bf16 is wanted and ``device`` does not support it in hardware.
    """
    if wanted == "fp32":
        return "fp32"
    kind = device.split(":")[0]
    if _has_bf16(kind):
        return "bf16"
    if wanted == "auto":
        return "fp32"
    raise ConfigError(f"--precision bf16: this {kind} device has no bf16 arithmetic; give auto or fp32.")


def _has_bf16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and _cpu_has_bf16()


def _cpu_has_bf16() -> bool:
    """Return whether /proc/cpuinfo lists bf16: avx512_bf16 or amx_bf16 on x86, bf16 on Arm; False except on Linux."""
    about = Path("/proc/cpuinfo")
    words = set(about.read_text(encoding="utf-8", errors="replace").split()) if about.is_file() else set()
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
