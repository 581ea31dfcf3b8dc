"""How long a run will take, said before its servers are started: a few seconds of looking into the files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dropscribe.local_media import inspected
from infra.cli.local.machine_speeds import MachineSpeeds
from infra.cli.progress.time_left import Estimate, audio_of_all
from shared.errors import BadMedia, Rejected
from shared.options.model import UploadOptions
from shared.settings.speeds import SpeedSettings

INSPECTION_SECONDS = 1.5
"""Longest look into files: a person sees the estimate within 5 s, of which Python's imports take two."""


def predicted(paths: Sequence[Path], options: UploadOptions, speeds: MachineSpeeds) -> Estimate:
    """The estimate for all files; what time is too short for is taken to be like the others, by its size."""
    began = time.monotonic()
    seen: list[tuple[int, float]] = []
    left: list[int] = []
    for path in paths:
        try:
            size = path.stat().st_size
            if time.monotonic() - began > INSPECTION_SECONDS:
                left.append(size)
                continue
            media = inspected(path, track=options.track)
            seen.append((size, media.duration_seconds * options.streams(media)))
        except (BadMedia, Rejected, OSError):
            continue  # it costs no time, and its own line says why
    return Estimate(
        files=len(paths),
        audio_seconds=audio_of_all(seen, left),
        speed=speeds.expected(SpeedSettings().initial_speeds(None)),
        is_measured=speeds.is_measured,
        is_partial=bool(left),
    )
