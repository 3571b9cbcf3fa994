"""What runs a model: ONNX Runtime, torch.export, TensorFlow."""
