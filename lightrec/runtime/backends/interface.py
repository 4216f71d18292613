"""Check a graph before it is used: whether its file is safe to open, and whether its inputs and outputs are right."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightrec.errors import BundleError
from lightrec.runtime.backends.onnx_check import require_plain_onnx, require_plain_ort

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

Ports = Mapping[str, tuple[str, int]]
"""Type and number of dimensions by name."""
INTEGERS, FLOATS = "tensor(int64)", "tensor(float)"
REQUEST: Ports = {"history": (INTEGERS, 2), "length": (INTEGERS, 1), "exclude": (INTEGERS, 2), "k": (INTEGERS, 1)}
RANKING: Ports = {"items": (INTEGERS, 2), "scores": (FLOATS, 2)}
MAX_PAST_VALUES = 2**24
"""The maximum number of values that a student stores for one item."""
INTERFACE: tuple[Ports, Ports] = (REQUEST, RANKING)
"""Inputs and outputs of an inference graph."""


def require_plain(file: Path, beside: Collection[str]) -> None:
    """Refuse a file that ONNX Runtime should not open: see :mod:`lightrec.runtime.backends.onnx_check`."""
    if file.suffix == ".ort":
        require_plain_ort(file)
    else:
        require_plain_onnx(file, beside)


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Refuse a graph whose names cannot be decoded: ONNX Runtime decodes them only when they are first read."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise BundleError(f"{file} holds a name that is not UTF-8: copy or export the bundle again.") from error


def require_interface(session: InferenceSession, file: Path, interface: tuple[Ports, Ports]) -> None:
    """Refuse a graph whose inputs and outputs differ from ``interface`` in names, types or dimensions.

    Raises:
        BundleError: naming the first that is wrong.
    """
    with _readable(file):
        for side, found, expected in (
            ("input", session.get_inputs(), interface[0]),
            ("output", session.get_outputs(), interface[1]),
        ):
            ports = {value.name: value for value in found}
            wrong = sorted(set(ports) ^ set(expected)) or [
                name for name, port in expected.items() if not _fits(ports[name], *port)
            ]
            if wrong:
                raise wrong_port(file, side, wrong[0])


def require_part_interface(session: InferenceSession, file: Path, part: str) -> None:
    """Refuse a "step", "score" or "candidates" graph whose inputs or outputs are wrong.

    Raises:
        BundleError: naming the first that is wrong.
    """
    with _readable(file):
        _require_part_interface(session, file, part)


def _require_part_interface(session: InferenceSession, file: Path, part: str) -> None:
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = session.get_outputs()
    if part == "score":
        require_interface(session, file, ({**REQUEST, "state": (FLOATS, 2)}, RANKING))
    elif part == "candidates":
        names = ("history", "length") if len(inputs) > 2 else ()
        ports = {"state": (FLOATS, 2), "candidates": (INTEGERS, 2), **{name: REQUEST[name] for name in names}}
        require_interface(session, file, (ports, {"scores": (FLOATS, 2)}))
    else:
        past = [value for name, value in inputs.items() if name != "items"]
        if "items" not in inputs or not _fits(inputs["items"], INTEGERS, 2):
            raise wrong_port(file, "input", "items")
        wrong = [value.name for value in past if value.type != FLOATS or not _is_small(value)]
        if wrong:
            raise wrong_port(file, "input", wrong[0])
        if len(outputs) != len(inputs) or not all(value.type == FLOATS and _is_small(value) for value in outputs):
            raise wrong_port(file, "output", outputs[0].name if outputs else "state")


def wrong_port(file: Path, side: str, name: str) -> BundleError:
    """Return the error for an "input" or "output" of a graph that the format does not allow."""
    return BundleError(f"{file} has another {side} {name!r} than the format: copy or export the bundle again.")


def _is_small(value: NodeArg) -> bool:
    """Return whether an array's dimensions are free or known, and small enough for a student."""
    sizes = [size for size in value.shape or (0,) if isinstance(size, int)]
    return all(size > 0 for size in sizes) and math.prod(sizes) <= MAX_PAST_VALUES


def _fits(value: NodeArg, kind: str, dimensions: int) -> bool:
    """Return whether a port has this type and rank; an output's rank may be unknown, and is checked when it runs."""
    return value.type == kind and (not value.shape or len(value.shape) == dimensions)
