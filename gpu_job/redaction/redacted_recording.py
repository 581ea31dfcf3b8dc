"""The redacted recording of one file: decoded again, masked, encoded, and transcribed to see that nothing is left.

    decode -> mask -> encode -> transcribe -> is a redacted word heard?
                ^                                   | yes: mask where, and with a wider margin
                +-----------------------------------+

Everything streams. It has the samples that the engines had: 16 kHz, and the channels as they were transcribed, so that
nothing is in it that nobody transcribed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.decode import decode_channels
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.audio.sounding_track import SoundingTrack
from gpu_job.pipeline import FileTranscription
from gpu_job.redaction.heard_again import heard_again
from gpu_job.redaction.masks import Mask, Masking, masks_of, merged, total_seconds
from gpu_job.redaction.opus_file import MOST_CHANNELS, OpusFile
from gpu_job.transcription.listener import BlockingListener
from gpu_job.transcription.setup import FileRequest, Pipeline
from shared.enums import Channels
from shared.errors import DropscribeError, EngineFailed
from shared.media import Media
from shared.options.model import UploadOptions
from shared.transcript.editing.redaction import RedactedWords
from shared.transcript.model import Gap, RedactedAudio, Word

FILE_NAME = "redacted.ogg"
CONTENT_TYPE = "audio/ogg"

MARGIN_SECONDS = 0.2
"""Masked before and behind redacted words at first: word times are right to about 0.1 s (docs/benchmarks.md)."""

MOST_ROUNDS = 4
"""Times that it is made and transcribed; the margin doubles with each: 0.2, 0.4, 0.8, 1.6 s."""

_CANCELLED = "The transcription was cancelled."

_log = logging.getLogger(__name__)


class NotRedacted(DropscribeError):
    """There is no redacted recording that is known to say nothing of what was redacted."""


@dataclass(frozen=True)
class Redactable:
    """A recording, and what of it must not be heard."""

    path: Path
    media: Media | None
    asked: UploadOptions
    """Its language and how its words are written, too: another language's model would hear none of them."""
    words: Sequence[RedactedWords]
    gaps: Sequence[Gap]
    """Stretches that have no words: nobody knows what is said there."""


@dataclass(frozen=True)
class Hearing:
    """How the result is transcribed again."""

    pipeline: Pipeline
    job_id: str
    """To which the engines' time is charged."""
    stays_local: bool
    cancelled: threading.Event
    """Set where nobody wants it any more."""
    model: SpeechModel | None = None
    """What the recording was heard with, for another language's model would hear none of its words; None: it is chosen
    by what was asked for."""
    on_progress: Callable[[], None] = lambda: None
    """Called on any thread whenever some of it was written or transcribed."""


class _Listener(BlockingListener):
    def __init__(self, on_progress: Callable[[], None]) -> None:
        super().__init__()
        self._on_progress = on_progress

    def chunk_transcribed(self, result: ChunkResult) -> None:
        self._on_progress()


def redact_recording(
    recording: Redactable, hearing: Hearing, target: Path, margin_seconds: float = MARGIN_SECONDS
) -> RedactedAudio:
    """Write the redacted recording to `target`. Blocks until it was heard through.

    Raises NotRedacted where something of it is heard all the same, or it could not be heard through; EngineFailed where
    no engine of this process is left or the transcription was cancelled; BadMedia or DecoderFailed.
    """
    count = recording.media.channels if recording.media and recording.asked.channels is Channels.SPLIT else 1
    margin, more = margin_seconds, list[Mask]()
    for number in range(1, MOST_ROUNDS + 1):
        masks = merged([*masks_of(recording.words, recording.gaps, margin, count), *more])
        duration = _write(recording, count, masks, target, hearing)
        words = _transcribed(recording, target, duration, count if count <= MOST_CHANNELS else 1, hearing)
        again = heard_again(words, recording.words, recording.asked.redaction)
        if not again:
            return RedactedAudio(
                file=FILE_NAME,
                masked_seconds=round(total_seconds(masks, duration), 3),
                margin_seconds=round(margin, 3),
                rounds=number,
            )
        _log.info("redacted words are heard again", extra={"fields": {"stretches": len(again), "round": number}})
        margin *= 2
        more.extend(masks_of(again, (), margin, count))
    raise NotRedacted(f"Redacted words were heard in it after {MOST_ROUNDS} rounds.")


def _write(recording: Redactable, count: int, masks: Sequence[Mask], target: Path, hearing: Hearing) -> float:
    """Decode, mask and encode. The answer is its length in seconds. Raises EngineFailed where nobody wants it."""
    decoding = hearing.pipeline.options.decoding
    masking, frames = Masking(masks, recording.asked.redaction.audio), 0
    with OpusFile(target, count) as file, closing(_blocks(recording, count, decoding)) as blocks:
        try:
            for block in blocks:
                if hearing.cancelled.is_set():
                    raise EngineFailed(_CANCELLED)
                hearing.on_progress()
                file.write(masking.apply(block))
                frames += block.shape[1]
        except DecoderFailed:
            if not frames:
                raise
            # Its rest is a gap of the transcript.
    return seconds(frames)


def _blocks(recording: Redactable, count: int, options: DecodeOptions) -> Generator[NDArray[np.float32]]:
    """[channels, T]; what is lost on the way the transcript says already."""
    options = replace(options, media=recording.media)
    if count > 1:
        yield from decode_channels(recording.path, count, options)
        return
    for block in SoundingTrack(recording.path, options).blocks():
        yield block[np.newaxis]


def _transcribed(recording: Redactable, path: Path, duration: float, channels: int, hearing: Hearing) -> Sequence[Word]:
    """Raises NotRedacted where a part of it has no result."""
    # Whatever is heard counts, not the better of two hearings.
    options, asked = replace(hearing.pipeline.options, audit=None, guard=None), recording.asked
    listener = _Listener(hearing.on_progress)
    media = Media(
        container="ogg",
        codec="opus",
        duration_seconds=max(duration, 1 / SAMPLE_RATE),
        duration_is_estimate=True,
        sample_rate_hz=SAMPLE_RATE,
        channels=channels,
        size_bytes=path.stat().st_size,
    )
    file = FileTranscription(
        replace(hearing.pipeline, options=options),
        hearing.job_id,
        listener,
        FileRequest(
            media,
            UploadOptions(
                channels=Channels.SPLIT if channels > 1 else Channels.MIX,
                language=asked.language,
                numbers=asked.numbers,
                fillers=asked.fillers,
                profanity=asked.profanity,
            ),
            stays_local=hearing.stays_local,
            cancelled=hearing.cancelled,
            model=hearing.model,
        ),
    )
    file.feed(path)
    listener.wait(hearing.pipeline.engines, on_poll=file.check)
    try:
        transcript = file.assemble(path.as_uri(), hearing.job_id)
    except EngineFailed as error:  # on every chunk of it
        raise NotRedacted(f"It could not be transcribed again: {error.reason}") from error
    if transcript.coverage.gaps:
        raise NotRedacted("It could not be transcribed again from its beginning to its end.")
    return transcript.words
