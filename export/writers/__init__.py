"""Write a student's model files: ONNX, ONNX Runtime's own format, OpenVINO, and formats for phones."""
