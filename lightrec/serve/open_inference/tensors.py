"""Tensors of the Open Inference Protocol: as JSON, or as the bytes that Triton's clients append to it.

A tensor's claimed shape is compared with the body's actual content before memory of that size is allocated.
"""

from __future__ import annotations

import math
import reprlib
import struct
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from lightrec.errors import DataError
from lightrec.serve.limits.request_sizes import MAX_IDS
from lightrec.serve.requests import Strict

Datatype = Literal["BYTES", "INT64", "INT32", "FP32", "BOOL"]
NUMBERS = {"INT64": "<i8", "INT32": "<i4", "FP32": "<f4", "BOOL": "?"}
"""NumPy types of the numbers in the binary extension."""
MAX_TENSORS = 16
"""The most inputs, and outputs, that one request may name."""

Size = Annotated[int, Field(ge=0, le=MAX_IDS)]
Parameters = Annotated[dict[str, Any], Field(default_factory=dict)]
Values = list[Any]
"""A tensor's values: strings or integers."""


class Tensor(Strict):
    """An input."""

    name: str
    shape: list[Size] = Field(min_length=1, max_length=2)
    datatype: Datatype
    parameters: Parameters
    data: list[Any] | None = Field(None, description="Row by row, flat or nested as the shape says.")

    @property
    def count(self) -> int:
        """How many values the shape claims."""
        return math.prod(self.shape)


class RequestedOutput(Strict):
    """An output that the client asks for."""

    name: str
    parameters: Parameters


class InferRequest(Strict):
    """An inference request."""

    id: str | None = None
    parameters: Parameters
    inputs: list[Tensor] = Field(max_length=MAX_TENSORS)
    outputs: list[RequestedOutput] | None = Field(None, max_length=MAX_TENSORS)


def read_tensor(tensor: Tensor, appended: bytes | None = None) -> Values:
    """Return the values of a tensor, row by row: integers, or strings if its datatype is BYTES.

    Args:
        tensor: the tensor in the JSON.
        appended: the tensor's bytes, if they are appended to the JSON.

    Raises:
        DataError: if the values are not of the type or shape that the tensor claims.
    """
    if appended is None:
        return _from_json(tensor)
    if tensor.data is not None:
        raise DataError(f"The input {tensor.name!r} has both data and binary_data_size: give one of them.")
    return list(_strings(appended, tensor)) if tensor.datatype == "BYTES" else _numbers(appended, tensor)


def rows(values: Values, shape: list[int]) -> list[Values]:
    """Split ``values`` into the rows of ``shape``; one row if it has one dimension."""
    if len(shape) == 1:
        return [values]
    count, width = shape
    return [values[row * width : (row + 1) * width] for row in range(count)]


def json_tensor(name: str, datatype: Datatype, values: np.ndarray) -> dict[str, Any]:
    """Return an output as JSON."""
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def binary_tensor(name: str, datatype: Datatype, values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """Return an output in the binary extension: its entry in the JSON, and its bytes."""
    if datatype == "BYTES":
        strings = (value.encode("utf-8", "surrogatepass") for value in values.ravel())
        content = b"".join(struct.pack("<I", len(string)) + string for string in strings)
    else:
        content = values.astype(NUMBERS[datatype]).tobytes()
    said = {"name": name, "datatype": datatype, "shape": list(values.shape)}
    return {**said, "parameters": {"binary_data_size": len(content)}}, content


def _from_json(tensor: Tensor) -> Values:
    data = tensor.data
    if data is None:
        raise DataError(f"The input {tensor.name!r} has no data: give them as data, or as binary_data_size.")
    if len(tensor.shape) == 2 and data and isinstance(data[0], list):
        if len(data) != tensor.shape[0] or any(type(row) is not list or len(row) != tensor.shape[1] for row in data):
            raise DataError(f"The nested rows of the input {tensor.name!r} are not of its shape, {_shape(tensor)}.")
        data = [value for row in data for value in row]
    elif len(data) != tensor.count:
        raise _wrong_count(tensor, len(data))
    if tensor.datatype == "BYTES":
        wrong = [value for value in data if type(value) is not str]
    else:
        end = 2 ** (8 * np.dtype(NUMBERS[tensor.datatype]).itemsize - 1)
        wrong = [value for value in data if type(value) is not int or not -end <= value < end]
    if wrong:
        said = f"The input {tensor.name!r} of type {tensor.datatype} holds {reprlib.repr(wrong[0])}"
        raise DataError(f"{said}: give it that type.")
    return data


def _strings(content: bytes, tensor: Tensor) -> Iterator[str]:
    """Yield the strings, each of which follows its length in four bytes."""
    place = 0
    for _ in range(tensor.count):
        try:
            (length,) = struct.unpack_from("<I", content, place)
            string = content[place + 4 : place + 4 + length]
            if len(string) < length:
                raise struct.error
            yield string.decode()
        except (struct.error, UnicodeDecodeError):
            said = f"The bytes of the input {tensor.name!r} are not {_shape(tensor)} strings"
            raise DataError(f"{said} in UTF-8, each behind its length.") from None
        place += 4 + length
    if place != len(content):
        raise DataError(f"The input {tensor.name!r} brings more bytes than its {_shape(tensor)} strings have.")


def _numbers(content: bytes, tensor: Tensor) -> list[int]:
    kind = np.dtype(NUMBERS[tensor.datatype])
    if len(content) != tensor.count * kind.itemsize:
        said = f"The input {tensor.name!r} brings {len(content):,} bytes"
        raise DataError(f"{said}: {_shape(tensor)} values of type {tensor.datatype} have {kind.itemsize} each.")
    return np.frombuffer(content, kind).tolist()


def _wrong_count(tensor: Tensor, count: int) -> DataError:
    return DataError(f"The input {tensor.name!r} has {count:,} values, which are not {_shape(tensor)}.")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
