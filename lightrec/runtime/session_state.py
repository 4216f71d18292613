"""Convert a session's state to arrays that can be stored anywhere, and back; read arrays are checked before use.

items       text [H]: the whole history as ids, oldest first, including ids that the bundle did not know
key         text: the bundle and model that computed the rest; any other one reads the items again
read        int64: how many known items the encoder has read; only with the two below
state       float32 [1, d]: the encoder's state after them
past:NAME   float32: the encoder's memory of them, by name of the step graph's input
digest      text: SHA-256 of all of these
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightrec.bundle import Catalogue
from lightrec.errors import DataError
from lightrec.runtime.backends.parts import Past
from lightrec.runtime.ranker import Ranker


@dataclasses.dataclass(frozen=True)
class Restored:
    """The content of a stored state; only the history if another bundle or model computed the rest."""

    ids: list[str]
    """The history, oldest first."""
    read: int = 0
    """How many known items ``state`` and ``past`` include."""
    state: np.ndarray | None = None
    """float32 ``[1, d]``."""
    past: Past = dataclasses.field(default_factory=dict)
    """The encoder's memory, by input of the step graph; empty once the history is longer than the window."""


def pack_state(
    ids: Sequence[str], key: str, read: int = 0, state: np.ndarray | None = None, past: Past | None = None
) -> dict[str, np.ndarray]:
    """Return the content of a :class:`Restored` as arrays without objects."""
    # Not as an array of text, which drops trailing NUL characters and makes every entry as wide as the longest.
    items = np.frombuffer(json.dumps(list(ids)).encode(), dtype=np.uint8)
    arrays = {"items": items, "key": np.array(key)}
    if state is not None:
        arrays |= {"read": np.array(read, dtype=np.int64), "state": state}
        arrays |= {f"past:{name}": array for name, array in (past or {}).items()}
    return arrays | {"digest": np.array(_digest(arrays))}


def unpack_state(state: Mapping[str, np.ndarray], ranker: Ranker, catalogue: Catalogue) -> Restored:
    """Read the result of :func:`pack_state`, from this process or another.

    Raises:
        DataError: if it is anything else, or was changed or cut short.
    """
    arrays = _arrays(state)
    _require({"items", "key", "digest"} <= set(arrays))
    _require(_text(arrays.pop("digest")) == _digest(arrays))
    ids = _ids(arrays["items"])
    if "state" not in arrays or _text(arrays["key"]) != ranker.state_key:
        return Restored(ids)
    parts = ranker.backend.parts
    if parts is None or not parts.ready("step"):
        return Restored(ids)
    known = sum(index is not None for index in catalogue.find(ids))
    read, encoder_state = _count(arrays.get("read"), known), arrays["state"]
    past = {name[5:]: array for name, array in arrays.items() if name.startswith("past:")}
    shape, shapes = parts.shapes_after(read)
    # The past is dropped once the oldest item has left the window.
    _require(set(past) == (set(shapes) if read <= ranker.manifest.max_length else set()))
    _require(_fits(encoder_state, shape) and all(_fits(array, shapes[name]) for name, array in past.items()))
    return Restored(ids, read, encoder_state, past)


def _arrays(state: Any) -> dict[str, np.ndarray]:
    try:
        arrays = {name: state[name] for name in state}
    except Exception:  # numpy.load reads its files only now, which can fail in many ways
        raise _wrong() from None
    _require(isinstance(state, Mapping))
    _require(all(isinstance(name, str) and isinstance(array, np.ndarray) for name, array in arrays.items()))
    _require(all(array.dtype.kind in "Uiuf" for array in arrays.values()))
    return arrays


def _fits(array: np.ndarray, shape: Sequence[int]) -> bool:
    """Return whether an array is finite float32 of this shape."""
    return array.dtype == np.float32 and array.shape == tuple(shape) and bool(np.isfinite(array).all())


def _count(array: np.ndarray | None, maximum: int) -> int:
    if array is None or array.shape != () or array.dtype != np.int64 or not 0 < array <= maximum:
        raise _wrong()
    return int(array)


def _ids(array: np.ndarray) -> list[str]:
    _require(array.ndim == 1 and array.dtype == np.uint8)
    try:
        ids = json.loads(array.tobytes())
    except (ValueError, RecursionError):
        raise _wrong() from None
    _require(isinstance(ids, list) and all(isinstance(item, str) for item in ids))
    return ids


def _text(array: np.ndarray) -> str:
    _require(array.ndim == 0 and array.dtype.kind == "U")
    return str(array)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _require(condition: bool) -> None:
    if not condition:
        raise _wrong()


def _wrong() -> DataError:
    return DataError("The session's state is not what Session.export returned, whole: start a new session.")
