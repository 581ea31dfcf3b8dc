"""Published and exported models on ONNX Runtime: no torch, no NeMo."""
