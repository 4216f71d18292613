"""Axes of charts: map values to positions, with ticks at round numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

STEPS = (1, 2, 2.5, 5, 10)
"""Round steps between ticks, times a power of ten."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis from ``low`` to ``high``."""

    label: str
    """What it measures, with its unit."""
    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] = ()
    """Where it is labelled."""

    def at(self, value: float) -> float:
        """Return the position of a value, 0 at the low end and 1 at the high end; values are clipped.

        >>> Axis("ms", 1, 100, log=True).at(10)
        0.5
        """
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def tick_labels(self) -> list[str]:
        """Return the labels of the ticks; on a linear axis all have the same number of decimals.

        >>> Axis("", 0, 1, ticks=(0.5, 0.525)).tick_labels(), Axis("", 1, 5, log=True, ticks=(0.5, 2.0)).tick_labels()
        (['0.500', '0.525'], ['0.5', '2'])
        """
        texts = [short(tick) for tick in self.ticks]
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        plain = self.log or not decimals or max(self.ticks) >= 1000
        return texts if plain else [f"{tick:.{decimals}f}" for tick in self.ticks]


def linear_axis(
    values: Iterable[float], label: str, *, least: float = 0.0, air: float = 0.1, count: int = 5, zero: bool = False
) -> Axis:
    """Make a linear axis around the values, with a margin at both ends.

    Args:
        values: what it must hold.
        label: of the axis.
        least: the least length, so that differences too small to matter look small; a hundredth of the largest value
            unless given.
        air: share of the values' span that is left free at each end.
        count: about how many ticks.
        zero: whether it begins at 0.
    """
    values = list(values)
    low, high = (0.0 if zero else min(values)), max(values)
    missing = max(0.0, (least or 0.01 * abs(high) or 1.0) - (high - low))
    free = (high - low + missing) * air
    low, high = (low if zero else low - missing / 2 - free), high + (missing if zero else missing / 2) + free
    return Axis(label, low, high, ticks=tuple(linear_ticks(low, high, count)))


def log_axis(
    values: Iterable[float], label: str, *, air: float = 1.3, least: float = 4.0, ticks: Sequence[float] = ()
) -> Axis:
    """Make a logarithmic axis around the values, all above 0.

    Args:
        values: what it must hold.
        label: of the axis.
        air: factor between the outermost values and the ends.
        least: the least ratio of its ends.
        ticks: labels at these values, instead of round ones.
    """
    values = list(values)
    low, high = min(values) / air, max(values) * air
    missing = max(1.0, least / (high / low)) ** 0.5
    low, high = low / missing, high * missing
    return Axis(label, low, high, log=True, ticks=tuple(ticks) or tuple(log_ticks(low, high)))


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers between two ends.

    >>> linear_ticks(0.0, 10.0), linear_ticks(0.0561, 0.0584)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.0565, 0.057, 0.0575, 0.058])
    """
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = min((step * power for step in STEPS), key=lambda step: abs(step - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(round(number * step, 12)) for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers between two ends above 0: 1, 2, 5 of each decade, or fewer if there is no room.

    >>> log_ticks(0.03, 4.0), log_ticks(1.0, 1e6)
    ([0.05, 0.1, 0.2, 0.5, 1.0, 2.0], [1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    return found if len(found) > 1 else linear_ticks(low, high)


def short(value: float) -> str:
    """Format a tick without trailing zeros, thousands as k, millions as M.

    >>> short(0.05), short(20.0), short(2500), short(20_000.0), short(3e6)
    ('0.05', '20', '2,500', '20k', '3M')
    """
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (1e3 if unit == 'k' else 1e6):g}{unit}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.6f}".rstrip("0").rstrip(".")
