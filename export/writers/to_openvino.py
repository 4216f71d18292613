"""Write the exported graph in OpenVINO's own format: model.xml (the graph) and model.bin (the weights)."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import nncf
import onnx
import openvino

from lightrec.export.precision.calibrate import STATIC, Question
from lightrec.export.precision.quantize import TABLE

XML, BIN = "model.xml", "model.bin"


def to_openvino(graph: onnx.ModelProto, precision: str, folder: Path, questions: Sequence[Question] = ()) -> list[str]:
    """Convert the single-precision ONNX ``graph`` and write it into ``folder``.

    Args:
        graph: the result of :func:`lightrec.export.writers.to_onnx.to_onnx`.
        precision: "fp32", "fp16" (weights stored in half precision), "int8" (all weights stored in 8 bits, symmetric,
            a scale for each row; the item table is one constant here too) or "int8-static" (post-training
            quantization: products in 8 bits as well). Whether the smaller ones are faster depends on the size of
            the catalogue and the processor: the export measures it.
        folder: an existing folder.
        questions: real histories for "int8-static"; see
        :func:`lightrec.export.precision.calibrate.calibration_questions`.

    Returns:
        the names of the files written.
    """
    source = folder / "source.onnx"
    onnx.save(graph, source)
    try:
        model = openvino.convert_model(source)
    finally:
        source.unlink()
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # hide nncf's progress bars
        if precision == "int8":
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        elif precision == STATIC:
            model = _calibrated(model, questions)
    openvino.save_model(model, folder / XML, compress_to_fp16=precision == "fp16")
    return [XML, BIN]


def _calibrated(model: openvino.Model, questions: Sequence[Question]) -> openvino.Model:
    """Quantize the layers with nncf's post-training quantization, taking the ranges of activations from ``questions``.

    The item table is compressed as in "int8": quantizing the states in one range for all users would lose 3 % of
    NDCG@10. Weights use 7 of their 8 bits, because with 8 the sums overflow on processors without VNNI.
    """
    readers = [
        reader.get_node().get_friendly_name()
        for op in model.get_ops()
        if op.get_friendly_name() == TABLE
        for reader in op.output(0).get_target_inputs()
    ]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(questions),
        model_type=nncf.ModelType.TRANSFORMER,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(questions),
        ignored_scope=nncf.IgnoredScope(names=readers),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )
    return nncf.compress_weights(quantized, mode=nncf.CompressWeightsMode.INT8_SYM)
