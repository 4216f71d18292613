"""Write a graph in ONNX Runtime's own format (.ort), for its small builds for phones, which have no ONNX parser."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from lightrec.telemetry import silence_onnxruntime

silence_onnxruntime()

ORT_FILE = "model.ort"


def to_ort(graph: onnx.ModelProto, folder: Path) -> str:
    """Optimize ``graph`` and write it into ``folder``; return the name of the file.

    Only fusions that run on every processor are made (ONNX Runtime's extended level). Constants are computed now, not
    at each start: so the layers' 8-bit matrices are stored in single precision, but an 8-bit item table is not.
    """
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / ORT_FILE)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    return ORT_FILE
