"""In PYTHONPATH, this is imported at the start of a process and of its children: they cannot import torch or NeMo.

So they run as after `pip install dropscribe[local]`, whatever else the environment holds.
"""

import sys

for name in ("torch", "nemo", "lightning", "silero_vad", "onnx", "safetensors", "omegaconf"):
    sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
