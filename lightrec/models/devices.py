"""Where to compute: a device by name, or the best that is there."""

from __future__ import annotations

import torch

from lightrec.errors import ConfigError


def resolve_device(name: str | None = None) -> str:
    """The device to use: ``name`` if it is there; the first of cuda, mps and cpu for ``auto`` or None.

    Raises:
        ConfigError: if the name is unknown, or there is no such device here.
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
