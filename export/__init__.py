"""From the networks in torch to `model_repository/`: ONNX graphs, their Triton configurations and a manifest.

Nothing that serves imports this package; it needs the extra `export`.
"""
