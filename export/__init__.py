"""Export a trained student as a bundle: graph, ONNX, quantization, OpenVINO, and the parity gate."""

from lightrec.extras import require_extra

require_extra("export", "Exporting a bundle")
