"""ONNX graphs of integers: those of QONNX, and of 8 bits as ONNX has them itself."""
