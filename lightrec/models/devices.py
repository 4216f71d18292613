"""Choose the device to compute on: the one named, or the best available."""

from __future__ import annotations

import torch

from lightrec.errors import ConfigError


def resolve_device(name: str | None = None) -> str:
    """Return ``name`` if that device is available; for ``auto`` or None, the first available of cuda, mps and cpu.

    Raises:
        ConfigError: if the name is unknown, or this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name in (None, "auto"):
        return next(device for device, found in there.items() if found)
    assert name is not None
    kind = name.split(":")[0]
    if kind not in there:
        raise ConfigError(f"--device {name} is not known: choose auto, cpu, cuda or mps.")
    if not there[kind]:
        raise ConfigError(f"--device {name}: torch finds no such device here; leave the flag out to use what is there.")
    return name
