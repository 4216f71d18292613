"""The numbers that options take: finite, and within what the commands can work with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lightrec.errors import ConfigError

MOST = 10**9
"""No whole number is larger than this, and none smaller than its opposite, where :data:`RANGES` does not say so."""

RANGES: dict[str, tuple[float, float]] = {
    "--seed": (0, 2**32 - 1),
    "--seeds": (1, 1000),
    "--trials": (1, 100_000),
    "--cases": (1, 10_000_000),
    "--threads": (1, 1024),
    "--seconds": (0, 86_400),
    "--p99-ms": (0, 86_400_000),
    "--k": (1, 1_000_000),
    "-k": (1, 2**31 - 1),
    "--k-limit": (1, 1_000_000),
    "--top": (1, 1_000_000),
    "--workers": (1, 1024),
    "--queue": (0, 1_000_000),
    "--quantile": (0, 1),
    "--hold-out-items": (0, 1),
    "--tolerance": (0, 1),
    "--max-ndcg-drop": (0, 1),
    "--timeout": (0.001, 86_400),
    "--max-body": (1, 2**31 - 1),
    "--connections": (1, 1_000_000),
}
"""The least and the most that an option takes; it means the same in every command."""


def check_numbers(parameters: Iterable[Any], values: Mapping[str, Any]) -> None:
    """Refuse numbers that no command can work with.

    Args:
        parameters: of a command.
        values: what each was given, by its name.

    Raises:
        ConfigError: naming the option and its range.
    """
    for parameter in parameters:
        given = values.get(parameter.name)
        for number in given if isinstance(given, list | tuple) else [given]:
            if isinstance(number, int | float) and not isinstance(number, bool):
                _check(parameter.opts[0], number)


def _check(flag: str, number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise ConfigError(f"{flag} is {number}: it must be a finite number.")
    low, high = RANGES.get(flag, (-MOST, MOST))
    if not low <= number <= high:
        raise ConfigError(f"{flag} is {_short(number)}: it must be from {_short(low)} to {_short(high)}.")


def _short(number: float) -> str:
    """A number for a sentence, however long it is."""
    if isinstance(number, int):
        return f"{number:,}" if abs(number) < 10**15 else f"a number of {len(str(abs(number)))} digits"
    return f"{number:g}"
