"""Check a model before ONNX Runtime opens it: its graph must terminate, and its weights be in the bundle's files.

An untrusted model could loop for ever, nest graphs, or read files of its choice. The models that lightrec writes are
flat lists of operators, so everything else is refused. This reads only the few fields of ONNX's protobuf that matter,
and skips the weights; the package ``onnx`` is not part of the base installation.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path

from lightrec.errors import BundleError

NESTING = (b"Loop", b"Scan", b"If", b"SequenceMap")
"""The operators that contain graphs."""
DOMAINS = ("", "ai.onnx", "com.microsoft")
"""The operator domains that a model may use."""
MAX_FIELDS = 1_000_000
"""The most protobuf fields that are read, which takes a second; a student's model has some thousands."""

# Field numbers of onnx.proto.
MODEL_GRAPH, MODEL_OPSET, MODEL_FUNCTIONS = 7, 8, 25
GRAPH_NODE, GRAPH_WEIGHT, GRAPH_SPARSE_WEIGHT = 1, 5, 15
NODE_KIND, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
TENSOR_EXTERNAL, ENTRY_KEY, ENTRY_VALUE = 13, 1, 2

Field = tuple[int, int, int]
"""Field number, and where its bytes start and stop; fields that hold no bytes are left out."""


def require_plain_onnx(file: Path, beside: Collection[str]) -> None:
    """Refuse a model that is more than a flat list of known operators.

    Args:
        file: the .onnx file.
        beside: the names of the files in its folder that may hold its weights.

    Raises:
        BundleError: if the file is not an ONNX model, or uses a feature that no model of a bundle uses.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            problem = next(_Model(content, beside).problems(), None)
    except (OSError, ValueError) as error:  # ValueError: empty, or not protobuf
        problem = f"is not an ONNX model ({error})"
    if problem:
        raise BundleError(f"{file} {problem}: copy or export the bundle again.")


def require_plain_ort(file: Path) -> None:
    """Do the same for a file in ONNX Runtime's own format, where each operator's name follows its length.

    Such a file holds all of its weights itself.

    Raises:
        BundleError: as :func:`require_plain_onnx` does.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            nested = any(content.find(len(kind).to_bytes(4, "little") + kind + b"\0") >= 0 for kind in NESTING)
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} is not a model ({error}): copy or export the bundle again.") from None
    if nested:
        raise BundleError(
            f"{file} holds a graph in a graph (a loop or a condition), which no model of a bundle does: copy or export "
            "the bundle again."
        )


class _Model:
    """The content of one file, with a count of the fields read so far."""

    def __init__(self, content: mmap.mmap, beside: Collection[str]):
        self.content = content
        self.beside = beside
        self.left = MAX_FIELDS

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the model."""
        graphs = 0
        for number, start, stop in self.fields(0, len(self.content)):
            if number == MODEL_FUNCTIONS:
                yield "defines functions, which no model of a bundle does"
            elif number == MODEL_GRAPH:
                graphs += 1
                yield from self.of_graph(start, stop)
        if graphs != 1:
            yield f"is not an ONNX model (it holds {graphs} graphs)"

    def of_graph(self, start: int, stop: int) -> Iterator[str]:
        """Yield what is wrong with its graph."""
        for number, first, last in self.fields(start, stop):
            if number == GRAPH_NODE:
                yield from self.of_node(first, last)
            elif number == GRAPH_WEIGHT:
                yield from self.of_tensor(first, last)
            elif number == GRAPH_SPARSE_WEIGHT:
                yield "has sparse weights, which no model of a bundle has"

    def of_node(self, start: int, stop: int) -> Iterator[str]:
        """Yield what is wrong with an operator."""
        kind = domain = ""
        for number, first, last in self.fields(start, stop):
            if number == NODE_KIND:
                kind = self.text(first, last)
            elif number == NODE_DOMAIN:
                domain = self.text(first, last)
            elif number == NODE_ATTRIBUTE:
                yield from self.of_attribute(first, last)
        if domain not in DOMAINS:
            yield f"uses the operator {kind!r} of {domain!r}, which no model of a bundle does"

    def of_attribute(self, start: int, stop: int) -> Iterator[str]:
        """Yield what is wrong with an operator's attribute."""
        for number, first, last in self.fields(start, stop):
            if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                yield "holds a graph in a graph (a loop or a condition), which no model of a bundle does"
            elif number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
                yield from self.of_tensor(first, last)

    def of_tensor(self, start: int, stop: int) -> Iterator[str]:
        """Yield what is wrong with a weight."""
        for number, first, last in self.fields(start, stop):
            if number != TENSOR_EXTERNAL:
                continue
            entry = {field: self.text(*place) for field, *place in self.fields(first, last)}
            if entry.get(ENTRY_KEY) == "location" and entry.get(ENTRY_VALUE) not in self.beside:
                yield f"reads weights from {entry.get(ENTRY_VALUE)!r}, which is not a file of this model"

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """Yield the fields that hold bytes in a message; raise ValueError if it is not protobuf."""
        while start < stop:
            key, start = self.varint(start, stop)
            wire, length = key & 7, 0
            if wire in (0, 2):
                length, start = self.varint(start, stop)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise ValueError("it is not protobuf")
            end = start if wire == 0 else start + length
            self.left -= 1
            if end > stop or self.left < 0:
                raise ValueError("it is cut short" if end > stop else f"it has more than {MAX_FIELDS:,} fields")
            if wire == 2:
                yield key >> 3, start, end
            start = end

    def varint(self, start: int, stop: int) -> tuple[int, int]:
        """Return a number, and where the next field starts."""
        value = 0
        for place in range(start, min(start + 10, stop)):
            byte = self.content[place]
            value |= (byte & 127) << 7 * (place - start)
            if byte < 128:
                return value, place + 1
        raise ValueError("it is cut short")

    def text(self, start: int, stop: int) -> str:
        """Return a string, or only its start if it is long."""
        return self.content[start : min(stop, start + 300)].decode("utf-8", "replace")
