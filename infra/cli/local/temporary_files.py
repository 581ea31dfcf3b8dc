"""Room for the copies of recordings that a run makes in the folder of temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence

from infra.cli.errors import CommandError

KEPT_FREE_BYTES = 2**30
"""What is left of the disk: it belongs to others, too."""


def check_room(sizes: Sequence[int], kept_free_bytes: int = KEPT_FREE_BYTES) -> None:
    """CommandError where the disk has too little room for files of these sizes, in bytes.

    Each is copied into the storage server of the run, and, while it is transcribed, once more for its decoder.
    """
    if not sizes:
        return
    folder = tempfile.gettempdir()
    needed, free = sum(sizes) + max(sizes) + kept_free_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise CommandError(
            f"{folder} has too little room for copies of the recordings: {needed / 1e6:,.0f} MB are needed, and"
            f" {free / 1e6:,.0f} MB are free. TMPDIR names another folder, and fewer files at once take less."
        )
