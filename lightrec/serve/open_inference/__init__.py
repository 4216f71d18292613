"""The Open Inference Protocol: its routes and its tensors."""
