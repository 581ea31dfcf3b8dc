"""The decoded audio of one file: blocks of its channels, whole or the part that a shard needs, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_job.assembly.completeness import NOT_TRANSCRIBED_REASON
from gpu_job.audio.decode import decode_channels
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import Account, CountedPart, PacketTimes
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_stream import InexactPart
from gpu_job.audio.mix.mixdown import MixProbe
from gpu_job.audio.packet_check import HeardSound
from gpu_job.audio.parallel import Window
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.audio.sounding_track import SoundingTrack
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.transcription.shards.packet_counter import PacketCounter
from shared.costs.shard_plan import Shard
from shared.media import Media
from shared.transcript.model import Gap

ARRIVAL_POLL_SECONDS = 0.2
"""How often a transcription that waits for the rest of its file looks whether it was cancelled."""


class FileAudio:
    """Decodes one file, once; `check` is called at every block and wait, and raises where it is to end."""

    def __init__(
        self,
        options: DecodeOptions,
        media: Media | None,
        channels: int,
        part: Window | None,
        shard: Shard | None = None,
        *,
        counts_packets: bool = False,
        on_gap: Callable[[Gap], None],
        check: Callable[[], None],
    ) -> None:
        """`channels`: 1 for the mix of all. `part`: None: the whole file. `shard`: what it is decoded for.
        `counts_packets`: whether the packets that begin in it are counted."""
        self.media = media
        """Of the track that is heard, once that is known."""
        self.frames = 0
        """That were given out, from the file's start or the part's."""
        self.begin = 0 if part is None else part.start
        """The first frame that is given out."""
        self._options = options
        self._channels = channels
        self._part = part
        self._on_gap = on_gap
        self._check = check
        self._shard = shard if counts_packets else None
        self._counter: PacketCounter | None = None
        self.packets: CountedPart | None = None
        """Those of the shard, once all has ended; None: they were not counted, or cannot be in parts."""
        self.checksums: dict[int, int] = {}
        """Of the file's parts that were fetched by then, where it was fetched in parts."""
        self.heard = HeardSound()
        """Where samples arrived, in frames from `begin` on; once no more blocks are taken."""
        borders = [] if shard is None else [second for second in (shard.start, shard.end) if second is not None]
        self._mix_probe = MixProbe(frozenset(second * SAMPLE_RATE - self.begin for second in borders))
        self._counted_frames = 0
        """As the decoder counted them, when it came to the end."""

    @property
    def position(self) -> int:
        """The frame of the file until which its audio was given out."""
        return self.begin + self.frames

    @property
    def is_cut_short(self) -> bool:
        """Whether all blocks were given out of a part that ends before the file, or as if it did."""
        return self._part is not None and self._part.frames == self.frames

    @property
    def lost_frames(self) -> int:
        """How many more the decoder counted than were given out, where it came to the end."""
        return max(0, self._counted_frames - self.frames)

    @property
    def mixes(self) -> dict[int, str]:
        """State of the mix where the shard begins and ends, by the file's frame; empty where nothing is mixed."""
        return {self.begin + frame: state for frame, state in self._mix_probe.states.items()}

    @contextmanager
    def counting(self, path: Path, arriving: ArrivingFile | None) -> Iterator[None]:
        """Count the packets of a shard beside its decoding, until `end`, where only a part of the file is decoded. Else
        the last shard's decoder counts those of the whole, and of the others nothing is counted."""
        if self._shard is None or self._part is None:
            yield
            return
        with PacketCounter(path, self._decode_options(arriving), (self._shard.start, self._shard.end)) as self._counter:
            yield

    def blocks(self, path: Path, arriving: ArrivingFile | None) -> Generator[NDArray[np.float32]]:
        """Blocks of shape [channels, T]. Where the decoder ends early, what came until then counts: the rest of the
        file is a gap that says why. Raises BadMedia, DecoderFailed where nothing can be decoded, InexactPart."""
        try:
            for block in self._decoded(path, arriving):
                self._check()
                self.frames += block.shape[1]
                yield block
        except DecoderFailed as error:
            if self.frames == 0:
                raise
            here, stated = seconds(self.frames), self.media.duration_seconds if self.media else 0.0
            self._on_gap(Gap(start=here, end=max(here, stated), reason=error.reason))

    def end(self, arriving: ArrivingFile | None, *, is_behind: bool) -> None:
        """All blocks that are wanted were taken: wait until all of the file was checked, and miss what did not come.

        `is_behind`: whether blocks reached behind the shard. Raises InexactPart, and what `arriving.wait` raises.
        """
        while arriving is not None and not arriving.wait(ARRIVAL_POLL_SECONDS) and self._part is None:
            self._check()
        if self._part is not None:
            if self.is_cut_short and not is_behind:
                raise InexactPart("the cut behind the shard was not reached")
        elif self.lost_frames:
            lost = Gap(start=seconds(self.frames), end=seconds(self._counted_frames), reason=NOT_TRANSCRIBED_REASON)
            self._on_gap(lost)
        if self._counter is not None:
            while not self._counter.wait(ARRIVAL_POLL_SECONDS):
                self._check()
            self.packets = self._counter.counted
        if arriving is not None:
            self.checksums = arriving.checksums()

    def _decoded(self, path: Path, arriving: ArrivingFile | None) -> Generator[NDArray[np.float32]]:
        options = replace(
            self._decode_options(arriving),
            part=self._part,
            on_damage=self._on_gap,
            on_account=self._take_account,
            on_packets=self._take_packets,
            on_heard=self._take_heard,
            mix_probe=self._mix_probe,
        )
        if self._channels > 1:
            yield from decode_channels(path, self._channels, options)
            return
        track = SoundingTrack(path, options)
        for block in track.blocks():
            self.media = track.media
            yield block[np.newaxis]

    def _decode_options(self, arriving: ArrivingFile | None) -> DecodeOptions:
        return replace(self._options, media=self.media, arrival=None if arriving is None else arriving.map_path)

    def _take_packets(self, packets: PacketTimes) -> None:
        if self._shard is not None and self._shard.end is None:
            self.packets = CountedPart(packets)

    def _take_heard(self, heard: HeardSound) -> None:
        self.heard = heard

    def _take_account(self, account: Account) -> None:
        self._counted_frames = account.frames
