"""ONNX graphs of floats."""
