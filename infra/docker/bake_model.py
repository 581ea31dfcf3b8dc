"""Fetches a model, compares it with its checksum, and prepares it: a step of the images' build, not run elsewhere.

python bake_model.py nvidia/parakeet-tdt-0.6b-v2 /models/parakeet --revision main --sha256 ""
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

from gpu_job.asr.nemo.model_export import prepare
from gpu_job.asr.nemo.model_files import MANIFEST, BadModel, Precision, PreparedModel

_SHA256_DIGITS = 64


def bake(source: str, target: Path, revision: str, sha256: str) -> PreparedModel:
    """A name at Hugging Face or a `.nemo` file -> a prepared directory in bf16. Raises BadModel.

    Where no checksum is given, the fetched file is held to the one that Hugging Face states for it.
    """
    local = source.endswith(".nemo")
    archive, stated, commit = (Path(source), "", None) if local else _fetch(source, revision)
    found = _sha256(archive)
    print(f"{archive.name}: sha256 {found}")
    for expected in (sha256, stated):
        if expected and found != expected.lower():
            raise BadModel(f"{archive.name} has the checksum {found} instead of {expected}.")
    prepared = prepare(str(archive), target, Precision.BF16)
    recorded = {"revision": commit, "archive_sha256": found}
    return _recorded(prepared, recorded if local else {**recorded, "source": source})


def _fetch(name: str, revision: str) -> tuple[Path, str, str | None]:
    """The archive of a published model, its SHA-256 as published (the entity tag of a large file), and the commit."""
    file = f"{name.rpartition('/')[2]}.nemo"
    published = get_hf_file_metadata(hf_hub_url(name, file, revision=revision))
    tag = published.etag or ""
    # A small file's tag is git's SHA-1, which is shorter.
    stated = tag if len(tag) == _SHA256_DIGITS else ""
    fetched = Path(hf_hub_download(name, file, revision=published.commit_hash or revision))
    return fetched, stated, published.commit_hash


def _sha256(archive: Path) -> str:
    if not archive.is_file():
        raise BadModel(f"There is no file {archive}.")
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(prepared: PreparedModel, known: Mapping[str, str | None]) -> PreparedModel:
    """The same with what is known of its origin: transcripts say the name. The manifest does not vouch for itself."""
    manifest = prepared.manifest.model_copy(update=known)
    (prepared.directory / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return PreparedModel.open(prepared.directory)


def main() -> int:
    """Bake, and say what came of it. The exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", help="a name at Hugging Face, or a .nemo file")
    parser.add_argument("target", type=Path)
    parser.add_argument("--revision", default="main", help="branch, tag or commit at Hugging Face")
    parser.add_argument("--sha256", default="", help="of the .nemo file")
    asked = parser.parse_args()
    try:
        prepared = bake(asked.source, asked.target, asked.revision, asked.sha256)
    except BadModel as error:
        print(error.reason, file=sys.stderr)
        return 1
    print(f"{prepared.manifest.source}: {prepared.manifest.parameters / 1e6:.1f} M parameters in {asked.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
