"""How a file is decoded, and who is told what was lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_job.audio.decoder.records import Account, PacketTimes
from gpu_job.audio.decoder_process.start import DecoderLimits
from gpu_job.audio.mix.mixdown import MixProbe
from gpu_job.audio.packet_check import HeardSound
from gpu_job.audio.parallel import ParallelDecoding, Window
from shared.media import Media
from shared.transcript.model import Gap


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True)
class DecodeOptions:
    """Of one file; the defaults decode the default track of any file, and tell nobody what was lost."""

    limits: DecoderLimits = field(default_factory=DecoderLimits)
    parallel: ParallelDecoding = field(default_factory=ParallelDecoding)
    media: Media | None = None
    """What inspection found. Without it one process decodes, and the end is not compared with the stated length."""
    track: int | None = None
    """Index among all of the file's streams; None: the one that `media` describes, else the default audio track."""
    part: Window | None = None
    """The frames to decode of a file that `can_begin_anywhere`, from a whole second on: the samples are those of the
    whole file, and nothing is counted or compared with what the header states. None: all of it."""
    arrival: Path | None = None
    """The ArrivalMap of a file that is still fetched; None: it is complete."""
    on_damage: Callable[[Gap], None] = _ignore
    """Gets each lost or damaged span before the stream ends, also one that the header promises behind its end."""
    on_account: Callable[[Account], None] = _ignore
    """Gets what the decoder counted, if it came to the end."""
    on_packets: Callable[[PacketTimes], None] = _ignore
    """Gets the count of the whole track's packets when the stream ends, unless they could not be counted."""
    on_heard: Callable[[HeardSound], None] = _ignore
    """Gets where samples arrived when the stream ends, also where nobody takes the rest of it."""
    mix_probe: MixProbe | None = None
    """Takes the state of the mix of one track's channels."""

    @property
    def stream_index(self) -> int | None:
        """FFmpeg's index of the stream to decode; None: the file's default."""
        if self.track is None and self.media is not None and self.media.tracks:
            return self.media.track
        return self.track
