"""Batches of windows of similar length, the same for any number of processes and accumulated parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import DataLoader, Sampler

from lightrec.errors import ConfigError, DataError
from lightrec.training.loop import processes

POOL = 50
"""Number of batches whose windows are sorted by length together; more would make batches too similar."""


class Batches(Sampler):
    """The batches of an epoch, of which each process gets its share.

    The W windows are shuffled, sorted by length within pools of :data:`POOL` batches and cut into ceil(W / batch_size)
    batches whose sizes differ by at most one. The batches are then shuffled. A batch is one optimiser step; it has
    ``accumulation`` parts, of which each of n processes takes every n-th window. The order depends only on the seed and
    the epoch.

    Args:
        lengths: int ``[W]``.
        batch_size: windows in a step, over all processes together.
        accumulation: number of parts in which a process computes its share.
        seed: makes the order repeatable.

    Raises:
        ConfigError: if the batch size is not a multiple of processes x parts.
        DataError: if a batch has fewer windows than there are processes and parts.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, accumulation: int, seed: int):
        self.shares, self.share = processes.count(), processes.rank()
        if batch_size % (self.shares * accumulation):
            raise ConfigError(
                f"--batch-size {batch_size} cannot be divided evenly by {self.shares} process(es) x "
                f"--gradient-accumulation {accumulation}: give a multiple of {self.shares * accumulation}."
            )
        self.n_batches = -(-len(lengths) // batch_size)
        if len(lengths) // self.n_batches < self.shares * accumulation:
            raise DataError(
                f"{len(lengths)} training windows are too few for {self.shares} process(es) x --gradient-accumulation "
                f"{accumulation}: take fewer of either."
            )
        self.lengths = lengths
        self.pool = POOL * batch_size
        self.accumulation = accumulation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.n_batches * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        batches = np.array_split(self._order(random), self.n_batches)
        for number in random.permutation(self.n_batches):
            for part in np.array_split(batches[number], self.accumulation):
                yield part[self.share :: self.shares].tolist()

    def _order(self, random: np.random.Generator) -> np.ndarray:
        """Return all windows, pool by pool, lengths alternately rising and falling, so adjacent ones are similar."""
        shuffled = random.permutation(len(self.lengths))
        pools = np.split(shuffled, np.arange(self.pool, len(shuffled), self.pool))
        ordered = [pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools]
        return np.concatenate([pool[::-1] if number % 2 else pool for number, pool in enumerate(ordered)])


class BatchLoader(DataLoader):
    """A DataLoader over :class:`Batches` whose epoch the trainer can set."""

    batch_sampler: Batches

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; the trainer calls this before each epoch."""
        self.batch_sampler.epoch = epoch
