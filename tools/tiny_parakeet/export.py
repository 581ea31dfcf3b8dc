"""`python -m tools.tiny_parakeet.export`: the shipped ONNX networks from the shipped `.nemo` file.

`python -m tools.tiny_parakeet.export FOLDER MODEL.nemo`: those of another model.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nemo.collections.asr.models import ASRModel

from gpu_job.asr.nemo.onnx_export import export
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH


def main(folder: Path = ONNX_PATH, model: Path = MODEL_PATH) -> None:
    """Write the networks, the vocabulary and the configuration to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    export(ASRModel.restore_from(str(model), map_location="cpu").eval(), folder)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
