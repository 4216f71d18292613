"""Numbers on the command line: ``nan`` and infinity are words that float() takes, and no option means."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from lightrec.errors import ConfigError


def refuse_non_finite(command: Any) -> None:
    """Let ``command``, and all below it, refuse ``nan`` and ``inf`` with a sentence that names the flag."""
    for inner in getattr(command, "commands", {}).values():
        refuse_non_finite(inner)
    if not hasattr(command, "commands"):
        flags = {parameter.name: parameter.opts[0] for parameter in command.params}
        command.callback = _checked(command.callback, flags)


def _checked(callback: Callable[..., Any], flags: dict[str, str]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def checked(*arguments: Any, **given: Any) -> Any:
        for name, value in given.items():
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, float) and not math.isfinite(number):
                    raise ConfigError(f"{flags[name]} {number} is no number to work with: give a finite one.")
        return callback(*arguments, **given)

    return checked
