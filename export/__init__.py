"""From a trained student to a bundle: graph, ONNX, quantization, OpenVINO, and the parity gate."""

from lightrec.extras import require_extra
from lightrec.telemetry import keep_openvino_silent

require_extra("export", "Exporting a bundle")
keep_openvino_silent()
