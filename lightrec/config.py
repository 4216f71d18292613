"""Configurations: dataclasses filled from mappings, with all mistakes reported together.

A configuration is a frozen or plain dataclass whose fields each have a docstring. It is filled from a TOML
file and from flags; unknown keys are refused, and all mistakes are reported in one
:class:`~lightrec.errors.ConfigError`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from lightrec.errors import ConfigError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file; raise :class:`ConfigError` if it is missing or malformed."""
    if not path.is_file():
        raise ConfigError(f"The configuration file {path} does not exist: check the path given to --config.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"The configuration file {path} is not UTF-8 text: save it as UTF-8.") from None
    except RecursionError:
        raise ConfigError(f"The configuration file {path} is nested too deeply: settings are not.") from None
    except ValueError as error:
        raise ConfigError(f"The configuration file {path} is not valid TOML: {str(error).rstrip('.')}.") from None


def from_mapping(kind: type[T], values: Mapping[str, Any], source: str) -> T:
    """Build the dataclass ``kind`` from ``values``; see :func:`parse_mapping`.

    Args:
        kind: a dataclass.
        values: keys are field names.
        source: where the values came from (a file name, "the command line"); the message starts with it.

    Raises:
        ConfigError: naming every mistake at once.
    """
    config, mistakes = parse_mapping(kind, values)
    if config is None:
        raise ConfigError(f"In {source}: " + "; ".join(mistakes) + ".")
    return config


def parse_mapping(kind: type[T], values: Mapping[str, Any]) -> tuple[T | None, list[str]]:
    """Build the dataclass ``kind`` from ``values``, or list what is wrong with them.

    Args:
        kind: a dataclass; fields may be ``int``, ``float`` (finite only), ``str``, ``bool``, ``dict``,
            ``Literal[...]``, a tuple of one of these (``tuple[str, ...]``), or any of these ``| None``. It may define
            ``problems(self) -> list[str]`` for rules that span fields.
        values: keys are field names; missing ones keep the field's default.

    Returns:
        The configuration and no mistakes; or None and every unknown key, wrong type and refused value.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    mistakes: list[str] = []
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(sorted(fields))})"
            mistakes.append(f"unknown key {key!r}{hint}")
            continue
        try:
            accepted[key] = _convert(value, hints[key])
        except ValueError as error:
            mistakes.append(f"{key} = {value!r} {error}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            mistakes.append(f"{name} is required")
    if mistakes:
        return None, mistakes
    config = kind(**accepted)
    mistakes = config.problems() if hasattr(config, "problems") else []
    return (None, mistakes) if mistakes else (config, [])


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the fields of a configuration as a JSON-ready mapping (tuples become lists)."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()
    }


def _convert(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)))
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"must be one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")
        return tuple(_convert(part, arguments[0]) for part in value)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("is too large")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"must be of type {hint.__name__}")
    return value


def to_toml(values: Mapping[str, Any]) -> str:
    """Return a flat mapping as TOML; None is left out, because TOML has no such value."""
    # TOML writes values as JSON does, but has no surrogate pairs and does not allow a bare DEL.
    written = {key: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") for key, value in values.items()}
    return "".join(f"{key} = {written[key]}\n" for key, value in values.items() if value is not None)
