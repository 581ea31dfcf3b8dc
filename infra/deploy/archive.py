"""The function's source archive: `main.py`, pinned requirements, and the two packages it is made of."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.docker.locks import Part, read
from infra.terraform_offline.terraform import ROOT

PACKAGES = ("trigger_function", "shared")
SUFFIXES = (".py", ".toml", ".html", ".css", ".js")

MAIN = '''"""The entry points, where Cloud Functions looks for them."""

from trigger_function.main import on_upload, reconcile

__all__ = ["on_upload", "reconcile"]
'''

# The first moment a zip file can name, and a file that everybody may read.
_WHEN = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


def contents() -> Mapping[str, bytes]:
    """What the archive holds, by name. Its requirements are the lock's versions: Google's builder installs them."""
    requirements = "".join(f"{package.name}=={package.version}\n" for package in read(Part.FUNCTION.lock))
    return {"main.py": MAIN.encode(), "requirements.txt": requirements.encode(), **dict(_sources())}


def _sources() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip file whose bytes follow from `files` alone: stored, for zlib's output differs between versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = _MODE
            archive.writestr(entry, content)


if __name__ == "__main__":
    write(Path(sys.argv[1]), contents())
    print(sys.argv[1])
