"""Build inference graphs for ONNX Runtime node by node, from one builder."""
