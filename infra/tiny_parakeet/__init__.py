"""Tiny Parakeet: a model of exactly Parakeet's architecture that transcribes a small synthetic language.

It lets the local run, the tests and the benchmarks go through the code that loads `nvidia/parakeet-tdt-0.6b-v2` in
production, offline and on two CPU cores. `vocabulary` says what it understands, the card beside the model how it was
made and how well it does, and `python -m infra.tiny_parakeet.train` makes it again from nothing.
"""

from pathlib import Path

MODEL_PATH: Path = Path(__file__).with_name("parakeet-tdt-tiny.nemo")
"""The shipped model, for `ASRModel.restore_from`."""
