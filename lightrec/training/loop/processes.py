"""Coordination of one run on several processes, as ``accelerate launch`` starts them; no effect on a single one.

All processes read the data and train; the main one (rank 0) writes files and messages. They must share a file system.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from accelerate import PartialState

PATIENCE = timedelta(hours=24)
"""How long the other processes wait for the main one, which may need hours to compute teacher outputs."""


def join(device: str) -> None:
    """Join the other processes, if there are any; to be called before anything is written.

    Args:
        device: the device of this run, as :func:`~lightrec.models.devices.resolve_device` names it: processes on the
            CPU communicate by gloo, others by the backend that accelerate chooses.
    """
    if count() > 1:
        PartialState(cpu=device == "cpu", timeout=PATIENCE)


def count() -> int:
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Return whether this process is the one that writes files and messages."""
    return rank() == 0


def wait() -> None:
    """Wait until all processes have reached this call."""
    if count() > 1:
        PartialState().wait_for_everyone()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Run the block in the main process first and then in the others, which find its files."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def total(values: list[float], device: torch.device) -> list[float]:
    """Return the sums of ``values`` over all processes, the same in each process."""
    if count() == 1:
        return values
    # mps has no float64, but it is never used with several processes.
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(summed)
    return summed.tolist()
