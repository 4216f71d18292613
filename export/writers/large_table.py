"""The item table of a large catalogue as a file: 8 bits per number, in the order in which a query reads it.

The file is memory-mapped, and every query reads all of it from start to end. It consists of blocks of items; a block
stores the first codes of all its items, then the second ones, and so on, the order in which a matrix-vector product
reads them.

The state that multiplies the codes is unsigned: it is the state plus a constant c, which adds c times the sum of an
item's codes to its score. To make that sum zero, the vectors are rotated into the hyperplane of d + 1 dimensions whose
coordinates sum to zero, which changes no product, and the codes are rounded so that they also sum to zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lightrec.errors import ModelError

GROUP = 64
"""Items of a group. A query scores a group exactly as a whole or not at all: one cache line in each dimension."""
BLOCK = 2**15
"""Largest number of items in a block: their sums fit in the processor's cache, and their rows are long enough to be
prefetched."""
PIECE = 8
"""Largest number of blocks in a piece, which the graph scores at once: their scores stay in the cache until groups are
compared."""

Rows = Callable[[int, int], np.ndarray]
"""Function that returns the vectors, float32 ``[stop - start, d]`` (or the codes, where documented), of the items from
``start`` to ``stop``."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of the table in its file: int8 ``[n_blocks, depth, block_items]``, with zeros after the last item."""

    n_items: int
    """Number of items, N."""
    width: int
    """Width of the item vectors, d."""
    scale: float = 1.0
    """Factor from codes to coordinates."""
    longest: float = 0.0
    """The largest Euclidean length of an item's codes."""
    block: int = BLOCK
    """Largest number of items in a block."""

    @property
    def depth(self) -> int:
        """Number of codes of an item, d + 1."""
        return self.width + 1

    @property
    def n_groups(self) -> int:
        """Number of groups that hold an item, G."""
        return -(-self.n_items // GROUP)

    @property
    def n_pieces(self) -> int:
        """Number of pieces, P: as few as possible."""
        return -(-self._least_blocks // PIECE)

    @property
    def piece_blocks(self) -> int:
        """Number of blocks in each piece."""
        return -(-self._least_blocks // self.n_pieces)

    @property
    def n_blocks(self) -> int:
        """Number of blocks in all pieces."""
        return self.n_pieces * self.piece_blocks

    @property
    def block_groups(self) -> int:
        """Number of groups in each block: as few as possible, so that there is little padding."""
        return -(-self.n_groups // self.n_blocks)

    @property
    def block_items(self) -> int:
        """Number of items in each block."""
        return self.block_groups * GROUP

    @property
    def _least_blocks(self) -> int:
        return -(-self.n_groups // (self.block // GROUP))


def turn(width: int) -> np.ndarray:
    """Return a matrix float64 ``[d, d + 1]`` with orthonormal rows that each sum to zero; it is close to the identity.

    These are the first d rows of the reflection that maps the last axis to the direction of (1, ..., 1).
    """
    away = np.full(width + 1, -1 / np.sqrt(width + 1))
    away[-1] += 1
    return np.eye(width, width + 1) - 2 * np.outer(away[:-1], away) / (away @ away)


def write_table(file: Path, rows: Rows, n_items: int, width: int, block: int = BLOCK) -> Layout:
    """Quantize the item vectors block by block and write them; ``rows`` is called twice for each block.

    Args:
        file: the file to write.
        rows: returns the item vectors.
        n_items: number of items, N.
        width: width of the vectors, d.
        block: largest number of items in a block, a multiple of 64.

    Raises:
        ModelError: if all vectors are zero, or one is not finite.
    """
    layout = Layout(n_items, width, block=block)
    rotation = turn(width).astype(np.float32)
    largest = max(float(np.abs(rows(*part) @ rotation).max()) for part in _parts(layout))
    if not 0 < largest < np.inf:
        raise ModelError("The item vectors are all zero, or one holds NaN or infinity: train the student again.")
    scale = largest / 127
    longest = write_codes(file, layout, lambda start, stop: balanced(rows(start, stop) @ rotation / scale))
    return dataclasses.replace(layout, scale=scale, longest=longest)


def write_codes(file: Path, layout: Layout, codes: Rows) -> float:
    """Write the items' codes, int8 ``[stop - start, d + 1]``, in blocks; return the largest length of an item's."""
    longest = 0.0
    with file.open("wb") as out:
        for start, stop in _parts(layout):
            block = np.zeros((layout.block_items, layout.depth), dtype=np.int8)
            block[: stop - start] = codes(start, stop)
            longest = max(longest, float(np.linalg.norm(block.astype(np.float32), axis=1).max()))
            out.write(np.ascontiguousarray(block.T).tobytes())
    return longest


def read_codes(file: Path, layout: Layout) -> Rows:
    """Return a function that reads codes from a memory-mapped file written by :func:`write_codes`."""
    shape = (layout.n_blocks, layout.depth, layout.block_items)
    blocks = np.memmap(file, dtype=np.int8, mode="r", shape=shape)

    def codes(start: int, stop: int) -> np.ndarray:
        first, last = start // layout.block_items, (stop - 1) // layout.block_items
        found = np.concatenate([block.T for block in blocks[first : last + 1]])
        return found[start - first * layout.block_items :][: stop - start]

    return codes


def balanced(values: np.ndarray) -> np.ndarray:
    """Round ``values [n, m]``, whose rows sum to zero, to int8 codes whose rows do too.

    In a row with another sum, the codes that this moves least from their values are changed by one.

    >>> balanced(np.array([[0.6, 0.7, -1.3]], dtype=np.float32)).tolist()
    [[0, 1, -1]]
    """
    codes = np.clip(np.rint(values), -127, 127)
    for _ in range(values.shape[1]):
        excess = codes.sum(axis=1)
        wrong = np.flatnonzero(excess)
        if not len(wrong):
            break
        step = -np.sign(excess[wrong])[:, None]
        cost = np.abs(codes[wrong] + step - values[wrong])
        cost[np.abs(codes[wrong] + step) > 127] = np.inf
        place = cost.argmin(axis=1)
        codes[wrong, place] += step[:, 0]
    return codes.astype(np.int8)


def _parts(layout: Layout) -> Iterator[tuple[int, int]]:
    """Yield the first item of each block, and the end of the block (exclusive)."""
    for start in range(0, layout.n_items, layout.block_items):
        yield start, min(start + layout.block_items, layout.n_items)
