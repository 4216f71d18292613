"""One run on several processes, as ``accelerate launch`` starts them; alone, all of this does nothing.

All processes read the data and train; the main one (rank 0) writes files and talks. They must share a file system.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from accelerate import PartialState

PATIENCE = timedelta(hours=24)
"""How long the others wait for the main process: teachers may take hours to ask."""


def join(device: str) -> None:
    """Join the other processes, if there are any; called before anything is written.

    Args:
        device: where this run computes, as :func:`~lightrec.models.devices.resolve_device` names it: processes on
            the CPU talk by gloo, others by what accelerate finds fit.
    """
    if count() > 1:
        PartialState(cpu=device == "cpu", timeout=PATIENCE)


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this process writes files and talks."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        PartialState().wait_for_everyone()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Let the main process through first, and the others when it has left: they find its files."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def total(values: list[float], device: torch.device) -> list[float]:
    """The sums over all processes, the same everywhere."""
    if count() == 1:
        return values
    # mps knows no float64; it also knows no second process.
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(summed)
    return summed.tolist()
