"""Reduced precision: where it is worth asking for."""

from __future__ import annotations

from pathlib import Path

import torch

from lightrec.errors import ConfigError


def require_bf16(device: str) -> None:
    """Refuse bf16 where the hardware would only emulate it.

    Raises:
        ConfigError: if ``device`` has no bf16 arithmetic of its own.
    """
    kind = device.split(":")[0]
    if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return
    if kind == "cpu" and _cpu_has_bf16():
        return
    raise ConfigError(f"--precision bf16: this {kind} device has no bf16 arithmetic; leave the flag out for fp32.")


def _cpu_has_bf16() -> bool:
    """Whether the processor says so: x86 (avx512_bf16, amx_bf16) or Arm (bf16); only Linux tells."""
    about = Path("/proc/cpuinfo")
    words = set(about.read_text(encoding="utf-8", errors="replace").split()) if about.is_file() else set()
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
