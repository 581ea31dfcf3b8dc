"""Fetches a model's ONNX networks into the cache that the job reads: a step of the CPU image's build alone.

HF_HOME=/models/hub python bake_onnx_model.py nvidia/parakeet-tdt-0.6b-v2 /models --revision main
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from gpu_job.asr.hub.fetch import fetch_model
from shared.errors import EngineFailed


def bake(source: str, models: Path, revision: str) -> Path:
    """A published name -> its folder in HF_HOME, in int8, by the hub's hashes; a folder beside -> a copy in `models`.

    `revision`: branch, tag or commit of the repository with the networks.

    The copy is called `source`, too, and the job runs in `models`: so it finds either by the same name. Raises
    EngineFailed.
    """
    beside = Path(source.removesuffix(".nemo"))
    if beside.is_dir():
        return Path(shutil.copytree(beside, models / source))
    return fetch_model(source, revision=revision)


def main() -> int:
    """Bake, and say what came of it. The exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", help="a published name, or parakeet-tdt-tiny.nemo")
    parser.add_argument("models", type=Path)
    parser.add_argument("--revision", default="main", help="branch, tag or commit at Hugging Face")
    asked = parser.parse_args()
    try:
        folder = bake(asked.source, asked.models, asked.revision)
    except EngineFailed as error:
        print(error.reason, file=sys.stderr)
        return 1
    print(f"{asked.source}: {sum(file.stat().st_size for file in folder.rglob('*.onnx')) / 1e6:.0f} MB in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
