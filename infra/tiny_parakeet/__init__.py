"""Tiny Parakeet: a model of exactly Parakeet's architecture that transcribes a small synthetic language.

It lets the local run, the tests and the benchmarks go through the code that loads `nvidia/parakeet-tdt-0.6b-v2` in
production, offline and on two CPU cores. The card beside the model says how it was made and how well it does;
`tools/tiny_parakeet` has its training and its vocabulary.
"""

from pathlib import Path

MODEL_PATH: Path = Path(__file__).with_name("parakeet-tdt-tiny.nemo")
"""The shipped model, for `ASRModel.restore_from`."""

ONNX_PATH: Path = Path(__file__).with_name("parakeet-tdt-tiny")
"""The same model as networks for ONNX Runtime in fp32, made by `python -m tools.tiny_parakeet.export`."""

GERMAN_ONNX_PATH: Path = Path(__file__).with_name("parakeet-tdt-tiny-de")
"""A second model, of 64 German words, in the same form."""
