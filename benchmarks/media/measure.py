"""One file through the product's own inspection and decoding, in a process of its own with limits on time."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.media.peer import peer_decode
from benchmarks.media.recipes import NotMade, Recipe, Workshop
from benchmarks.media.tones import CELLS, heard
from benchmarks.resident import megabytes
from dropscribe.local_media import inspected
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.samples import Samples, seconds
from gpu_job.audio.sounding_track import SoundingTrack
from shared.errors import BadMedia
from shared.media import Media
from shared.transcript.model import Gap


@dataclass(frozen=True)
class Place:
    """Where a cell of a session should be and where it was found, in seconds of the decoded audio; None: nowhere."""

    session: str
    cell: int
    wanted: float
    found: float | None
    peer_found: bool
    """Whether the independent decoder has it."""


@dataclass(frozen=True)
class Measured:
    """What the product made of a file."""

    not_made: str | None = None
    """Why this ffmpeg does not write it; all else is then empty."""
    rejected: str | None = None
    """By inspection or by the decoder, with its reason."""
    stated_seconds: float = 0.0
    is_estimate: bool = False
    decoded_seconds: float = 0.0
    peer_seconds: float | None = None
    places: tuple[Place, ...] = ()
    gaps: tuple[tuple[float, float, str], ...] = ()
    """Start, end and reason."""
    wall_seconds: float = 0.0
    peak_megabytes: float = 0.0
    """Of this process."""
    child_megabytes: float = 0.0
    """Of the largest child that it had."""
    error: str | None = None
    """A crash, or what no file may cause."""


def measure(recipe: Recipe, workshop: Workshop) -> Measured:
    """Make the file, inspect and decode it, and find its sessions in what was decoded."""
    try:
        path = workshop.file(recipe)
    except NotMade as error:
        return Measured(not_made=str(error))
    return measure_file(path, recipe, workshop.ffmpeg)


def measure_file(path: Path, recipe: Recipe, ffmpeg: str) -> Measured:
    """As `measure`, of a file that is there."""
    began = time.monotonic()
    result = _decoded(path)
    wall = time.monotonic() - began
    own = megabytes("VmHWM")
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    truth = recipe.truth
    peer = peer_decode(ffmpeg, path, truth.track, truth.peer_channels)
    places = _places(recipe, np.concatenate([result.samples, np.zeros(1, np.float32)]), peer)
    return Measured(
        rejected=result.rejected,
        stated_seconds=result.media.duration_seconds if result.media else 0.0,
        is_estimate=result.media is not None and result.media.duration_is_estimate,
        decoded_seconds=seconds(len(result.samples)),
        peer_seconds=None if peer is None else seconds(len(peer)),
        places=tuple(places),
        gaps=tuple((gap.start, gap.end, gap.reason) for gap in result.gaps),
        wall_seconds=wall,
        peak_megabytes=own,
        child_megabytes=child,
        error=result.error,
    )


@dataclass
class _Result:
    samples: Samples
    gaps: list[Gap]
    media: Media | None = None
    rejected: str | None = None
    error: str | None = None


def _decoded(path: Path) -> _Result:
    """Inspection and decoding as the function and the job have them, each of the answers that they give."""
    result = _Result(np.zeros(0, np.float32), [])
    blocks: list[Samples] = []
    try:
        result.media = inspected(path)
        try:
            track = SoundingTrack(path, DecodeOptions(media=result.media, on_damage=result.gaps.append))
            blocks.extend(track.blocks())
        except DecoderFailed as error:
            if not blocks:
                raise
            # As gpu_job.pipeline: what came until then is good, and the rest is a gap.
            decoded = seconds(sum(map(len, blocks)))
            result.gaps.append(Gap(start=decoded, end=max(decoded, result.media.duration_seconds), reason=error.reason))
    except (BadMedia, DecoderFailed) as error:
        result.rejected = str(error)
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"
    result.samples = np.concatenate(blocks) if blocks else result.samples
    return result


def _places(recipe: Recipe, samples: Samples, peer: Samples | None) -> Iterator[Place]:
    ours, theirs = heard(samples), None if peer is None else heard(peer)
    for spoken in recipe.truth.spoken:
        cells = range(round(spoken.first * CELLS), round(spoken.last * CELLS))
        found = {one.cell: one.at for one in ours.find(spoken.session, cells)}
        by_peer = {one.cell for one in theirs.find(spoken.session, cells)} if theirs else set()
        for cell in cells:
            wanted = spoken.at + cell / CELLS - spoken.first
            yield Place(spoken.session, cell, wanted, found.get(cell), cell in by_peer)


def as_json(measured: Measured) -> dict[str, object]:
    """For build/media.json, without the places one by one."""
    said = asdict(measured)
    del said["places"]
    return said
