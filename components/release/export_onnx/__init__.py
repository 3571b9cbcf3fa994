"""Turn a trained model into ONNX and compare the two on real rows."""
