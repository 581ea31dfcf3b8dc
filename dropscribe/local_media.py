"""What inspection says of a file on this machine, by the function's own code."""

from __future__ import annotations

from pathlib import Path

from shared.formats.tracks import RequestedTrack
from shared.media import Media
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.ranged_reader import MAX_BYTES


def inspected(path: Path, max_bytes: int = MAX_BYTES, track: RequestedTrack | None = None) -> Media:
    """As `inspect`, of a file. Raises BadMedia, and Rejected where it has no such track."""
    with path.open("rb") as file:

        def fetch(start: int, end: int) -> bytes:
            file.seek(start)
            return file.read(end - start)

        return inspect(fetch, path.stat().st_size, track=track, max_bytes=max_bytes)
