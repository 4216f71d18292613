"""Tensors of the Open Inference Protocol: as JSON, or as the bytes that Triton's clients append to it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from lightrec.errors import DataError

Datatype = Literal["BYTES", "INT64", "INT32", "FP32", "BOOL"]
NUMBERS = {"INT64": "<i8", "INT32": "<i4", "FP32": "<f4", "BOOL": "?"}
"""How numbers lie in the binary extension."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any] = {}


class Tensor(_Strict):
    """An input."""

    name: str
    shape: list[NonNegativeInt] = Field(max_length=2)
    datatype: Datatype
    data: list[Any] | None = Field(None, description="Row by row, flat or nested.")


class RequestedOutput(_Strict):
    """An output that the client asks for."""

    name: str


class InferRequest(_Strict):
    """An inference request."""

    id: str | None = None
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None = None


def read_tensor(tensor: Tensor, appended: bytes | None = None) -> np.ndarray:
    """The values in the tensor's shape: int64, or objects of type str.

    Args:
        tensor: what the JSON says.
        appended: its bytes, where they stand behind the JSON.

    Raises:
        DataError: if the data are not of the type or shape that the tensor claims.
    """
    text = tensor.datatype == "BYTES"
    if appended is not None:
        values = list(_strings(appended, tensor.name)) if text else _numbers(appended, tensor)
    else:
        values = list(_flat(tensor.data or []))
        wrong = [value for value in values if type(value) is not (str if text else int)]
        if wrong:
            said = f"The input {tensor.name!r} of type {tensor.datatype} holds {wrong[0]!r}"
            raise DataError(f"{said}: give it that type.")
    try:
        return np.array(values, dtype=object if text else np.int64).reshape(tensor.shape)
    except (ValueError, OverflowError):
        shape = " x ".join(map(str, tensor.shape))
        raise DataError(f"The input {tensor.name!r} has {len(values)} values, which are not {shape}.") from None


def json_tensor(name: str, datatype: Datatype, values: np.ndarray) -> dict[str, Any]:
    """An output as JSON."""
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def binary_tensor(name: str, datatype: Datatype, values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """An output as the binary extension gives it: what the JSON says of it, and its bytes."""
    if datatype == "BYTES":
        strings = (value.encode() for value in values.ravel())
        content = b"".join(struct.pack("<I", len(string)) + string for string in strings)
    else:
        content = values.astype(NUMBERS[datatype]).tobytes()
    said = {"name": name, "datatype": datatype, "shape": list(values.shape)}
    return {**said, "parameters": {"binary_data_size": len(content)}}, content


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _strings(content: bytes, name: str) -> Iterator[str]:
    """Each string stands behind its length in four bytes."""
    place = 0
    while place < len(content):
        try:
            (length,) = struct.unpack_from("<I", content, place)
            string = content[place + 4 : place + 4 + length]
            if len(string) < length:
                raise struct.error
            yield string.decode()
        except (struct.error, UnicodeDecodeError):
            raise DataError(f"The bytes of the input {name!r} are no UTF-8 strings behind their lengths.") from None
        place += 4 + length


def _numbers(content: bytes, tensor: Tensor) -> list[int]:
    kind = np.dtype(NUMBERS[tensor.datatype])
    if kind.kind != "i" or len(content) % kind.itemsize:
        raise DataError(f"The bytes of the input {tensor.name!r} are no {tensor.datatype}, or it takes no such type.")
    return np.frombuffer(content, kind).tolist()
