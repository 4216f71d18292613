"""Place the labels of points so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALONG = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
"""Directions from a point to its label, the best first; y grows downwards."""

GAPS = (0, 12, 26, 44, 66)
"""Distances beyond the point's edge."""

NEAR = 12
"""Labels farther from their point's edge are joined to it."""


class Box(NamedTuple):
    """An upright rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Return whether the two boxes share any area.

        >>> Box(0, 0, 2, 2).meets(Box(1, 1, 3, 3)), Box(0, 0, 2, 2).meets(Box(2, 0, 3, 2))
        (True, False)
        """
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Return whether all of the box is inside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text in a sans-serif font, erring on the wide side."""
    return 0.61 * size * len(text)


def place_label(
    x: float, y: float, clear: float, width: float, height: float, occupied: Sequence[Box], area: Box
) -> tuple[Box, str, bool] | None:
    """Find the nearest free place for a label.

    Args:
        x: the point's.
        y: the point's.
        clear: distance to keep from it.
        width: of the label.
        height: of the label.
        occupied: what must not be covered.
        area: what must not be left.

    Returns:
        the label's box, how its text is aligned (``start``, ``middle`` or ``end``), and whether it lies so far away
        that a line should join it to its point; None where there is no room.
    """
    point = Box(x - 1, y - 1, x + 1, y + 1)
    around = [other for other in occupied if not point.meets(other)]  # a line may leave what its point lies in
    for gap in GAPS:
        for across, down in ALONG:
            reach = clear + gap
            left = x + reach if across > 0 else x - reach - width if across < 0 else x - width / 2
            diagonal = reach * 0.4 if across and down else reach
            top = y + diagonal if down > 0 else y - diagonal - height if down < 0 else y - height / 2
            box = Box(left, top, left + width, top + height)
            line = leader(x, y, box) if gap > NEAR else []
            free = not any(box.meets(other) for other in occupied)
            if free and box.within(area) and not any(part.meets(other) for other in around for part in line):
                return box, ("start", "middle", "end")[1 - across], gap > NEAR
    return None


def leader(x: float, y: float, box: Box) -> list[Box]:
    """Return the leader line from a point to its label's box, as small boxes along it."""
    end_x, end_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
    steps = [(x + (end_x - x) * part / 12, y + (end_y - y) * part / 12) for part in range(12)]
    return [Box(a - 1, b - 1, a + 1, b + 1) for a, b in steps]
