"""Check an OpenVINO model before OpenVINO opens it, as :mod:`lightrec.runtime.backends.onnx_check` does for ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

from lightrec.errors import BundleError
from lightrec.files.untrusted import read_bytes

MAX_GRAPH_BYTES = 64 * 2**20
"""Maximum size of the .xml file; a student's has some hundred thousand bytes."""
NESTED = ("Loop", "If")
"""Layers with inner graphs that may not terminate; a TensorIterator has one iteration per slice of its input."""


def require_plain_ir(file: Path, files: Sequence[str]) -> Path:
    """Refuse a model that is more than a flat list of layers.

    Args:
        file: the .xml file.
        files: the files of the model; its weights are the other one.

    Returns:
        The file of its weights.

    Raises:
        BundleError: if it is not such a model, or its weights are missing.
    """
    weights = file.with_suffix(".bin")
    if weights.name not in files or not weights.is_file():
        raise BundleError(f"{weights}, the weights of {file}, is missing: copy or export the bundle again.")
    content = read_bytes(file, MAX_GRAPH_BYTES)
    parser = expat.ParserCreate()
    problems: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "layer" and attributes.get("type") in NESTED:
            problems.append("holds a graph in a graph (a loop or a condition)")

    def declare(*_: Any) -> None:
        problems.append("declares entities")

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, declare
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError) as error:
        problems.append(f"is not the XML of a model ({error})")
    if problems:
        raise BundleError(f"{file} {problems[0]}, which no model of a bundle does: copy or export the bundle again.")
    return weights
