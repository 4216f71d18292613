"""The exported graph in OpenVINO's own form: model.xml (the graph) and model.bin (the weights)."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

import nncf
import onnx
import openvino

XML, BIN = "model.xml", "model.bin"


def to_openvino(graph: onnx.ModelProto, precision: str, folder: Path) -> list[str]:
    """Convert the single-precision ONNX ``graph`` and write it into ``folder``.

    Args:
        graph: what :func:`lightrec.export.to_onnx.to_onnx` returns.
        precision: "fp32", "fp16" (weights stored in half precision) or "int8" (all weights stored in 8 bits,
            symmetric, a scale for each row; the item table is one constant here too). Whether the smaller
            ones are faster depends on the size of the catalogue: the export measures it.
        folder: an existing folder.

    Returns:
        the names of the files written.
    """
    source = folder / "source.onnx"
    onnx.save(graph, source)
    try:
        model = openvino.convert_model(source)
    finally:
        source.unlink()
    if precision == "int8":
        logging.getLogger("nncf").setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(model, folder / XML, compress_to_fp16=precision == "fp16")
    return [XML, BIN]
