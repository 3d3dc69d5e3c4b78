"""ONNX: files written by MXNet's exporter put right, read as graphs, and run by ONNX Runtime."""
