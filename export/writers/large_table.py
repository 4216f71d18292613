"""The item table of a large catalogue as a file: 8 bits a number, once, in the order in which a query reads it.

The file is mapped, and every query reads all of it from the beginning to the end: blocks of items, in each of them the
first codes of all its items, then the second ones, and so on, as the product of a matrix by one vector reads them.

The state that multiplies the codes is unsigned: it is the state plus a constant c, which adds c times the sum of an
item's codes to its score. So the vectors are turned into the hyperplane of one more dimension whose coordinates sum to
zero, which changes no product, and the codes are rounded so that theirs do as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lightrec.errors import ModelError

GROUP = 64
"""Items that a query scores exactly together or not at all: one line of memory in each dimension."""
BLOCK = 2**15
"""Most items of a block: their sums stay in the processor's cache, their rows are long enough to be read ahead."""
PIECE = 8
"""Most blocks of a piece, which the graph scores at once: their scores stay in the cache until groups are compared."""

Rows = Callable[[int, int], np.ndarray]
"""Item vectors float32 ``[stop - start, d]`` (or codes, where it is said) of the items from ``start`` to ``stop``."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the table lies in its file: int8 ``[n_blocks, depth, block_items]``; zeros stand behind the last item."""

    n_items: int
    """N."""
    width: int
    """d."""
    scale: float = 1.0
    """A coordinate is its code times this."""
    longest: float = 0.0
    """The largest Euclidean length of an item's codes."""
    block: int = BLOCK
    """Most items of a block."""

    @property
    def depth(self) -> int:
        """Codes of an item, d + 1."""
        return self.width + 1

    @property
    def n_groups(self) -> int:
        """G: groups that hold an item."""
        return -(-self.n_items // GROUP)

    @property
    def n_pieces(self) -> int:
        """P: as few as possible."""
        return -(-self._least_blocks // PIECE)

    @property
    def piece_blocks(self) -> int:
        """Blocks of each piece."""
        return -(-self._least_blocks // self.n_pieces)

    @property
    def n_blocks(self) -> int:
        """Of all pieces."""
        return self.n_pieces * self.piece_blocks

    @property
    def block_groups(self) -> int:
        """Groups of each block: as few as possible, so that little is filled up."""
        return -(-self.n_groups // self.n_blocks)

    @property
    def block_items(self) -> int:
        """Items of each block."""
        return self.block_groups * GROUP

    @property
    def _least_blocks(self) -> int:
        return -(-self.n_groups // (self.block // GROUP))


def turn(width: int) -> np.ndarray:
    """float64 ``[d, d + 1]`` with orthonormal rows, each of which sums to zero; close to the identity.

    The first d rows of the reflection that takes the last axis to the direction of (1, ..., 1).
    """
    away = np.full(width + 1, -1 / np.sqrt(width + 1))
    away[-1] += 1
    return np.eye(width, width + 1) - 2 * np.outer(away[:-1], away) / (away @ away)


def write_table(file: Path, rows: Rows, n_items: int, width: int, block: int = BLOCK) -> Layout:
    """Quantize the item vectors block by block and write them; they are read twice, never all at once.

    Args:
        file: the file to write.
        rows: gives the vectors.
        n_items: N.
        width: d.
        block: most items of a block, a multiple of 64.

    Raises:
        ModelError: if all vectors are zero or one is not finite.
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
    """Write the items' codes, int8 ``[stop - start, d + 1]``, by blocks; returns the largest length of an item's."""
    longest = 0.0
    with file.open("wb") as out:
        for start, stop in _parts(layout):
            block = np.zeros((layout.block_items, layout.depth), dtype=np.int8)
            block[: stop - start] = codes(start, stop)
            longest = max(longest, float(np.linalg.norm(block.astype(np.float32), axis=1).max()))
            out.write(np.ascontiguousarray(block.T).tobytes())
    return longest


def read_codes(file: Path, layout: Layout) -> Rows:
    """The codes that lie in a file, as :func:`write_codes` takes them; the file is mapped."""
    shape = (layout.n_blocks, layout.depth, layout.block_items)
    blocks = np.memmap(file, dtype=np.int8, mode="r", shape=shape)

    def codes(start: int, stop: int) -> np.ndarray:
        first, last = start // layout.block_items, (stop - 1) // layout.block_items
        found = np.concatenate([block.T for block in blocks[first : last + 1]])
        return found[start - first * layout.block_items :][: stop - start]

    return codes


def balanced(values: np.ndarray) -> np.ndarray:
    """``values [n, m]``, whose rows sum to zero, as int8 codes whose rows do: those nearest to the next code give way.

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
    """The first item of each block, and the one behind its last."""
    for start in range(0, layout.n_items, layout.block_items):
        yield start, min(start + layout.block_items, layout.n_items)
