"""Decode the first track that has sound: a silent default track beside a sounding one is not "no speech"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import Account
from gpu_job.audio.decoder_stream import block_lengths
from gpu_job.audio.samples import Samples
from shared.errors import BadMedia
from shared.formats.tracks import chosen_track
from shared.media import Media
from shared.transcript.model import Gap

SILENT_PEAK = 10.0 ** (-66 / 20)
"""A track that never exceeds -66 dB below full scale has no sound: dither and hum stay below, the softest speech does
not."""


class SoundingTrack:
    """The mono mix of the file's chosen track, else of the next one that sounds."""

    def __init__(self, path: Path, options: DecodeOptions) -> None:
        self.media = options.media
        """Of the track that is being heard."""
        self._path = path
        self._options = options

    def blocks(self) -> Iterator[Samples]:
        """As `gpu_job.audio.decode.decode`; where other tracks could be heard, silence at the start comes late."""
        candidates = _candidates(self.media) if self.media else []
        if len(candidates) <= 1:
            yield from decode(self._path, self._options)
            return
        silent_tracks: list[tuple[Media, int, _Told]] = []
        failure: BadMedia | None = None
        for self.media in candidates:
            silent, told, has_sound = 0, _Told(), False
            try:
                for block in decode(self._path, told.listening(self._options, self.media)):
                    if not has_sound and np.abs(block).max(initial=0.0) < SILENT_PEAK:
                        silent += len(block)
                        continue
                    if not has_sound:
                        has_sound = True
                        yield from _zeros(silent)
                    yield block
                silent_tracks.append((self.media, silent, told))
            except BadMedia as error:
                failure = failure or error
            finally:
                if has_sound:
                    told.tell(self._options)
            if has_sound:
                return
        if not silent_tracks:
            assert failure is not None  # every track is silent or raised
            raise failure
        self.media, silent, told = silent_tracks[0]
        yield from _zeros(silent)
        told.tell(self._options)


def has_one_candidate(media: Media) -> bool:
    """Whether the chosen track is heard, whatever the others hold."""
    return len(_candidates(media)) == 1 and not media.mixes_tracks


@dataclass
class _Told:
    """What the decoder says of a track, kept until it is known which track is heard."""

    damage: list[Gap] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    def listening(self, options: DecodeOptions, media: Media) -> DecodeOptions:
        """The options for another track, of which all is told here."""
        return replace(options, media=media, on_damage=self.damage.append, on_account=self.accounts.append)

    def tell(self, options: DecodeOptions) -> None:
        """Pass it on."""
        for gap in self.damage:
            options.on_damage(gap)
        for account in self.accounts:
            options.on_account(account)


def _zeros(frames: int) -> Iterator[Samples]:
    for length in block_lengths(frames):
        yield np.zeros(length, np.float32)


def _candidates(media: Media) -> list[Media]:
    """The chosen track and, where nobody asked for it, the others."""
    readable = [track for track in media.tracks if track.is_readable]
    is_asked_for = bool(readable) and media.track != chosen_track(media.tracks, None).index
    if len(readable) < 2 or media.mixes_tracks or is_asked_for:
        return [media]
    others = sorted((track for track in readable if track.index != media.track), key=lambda track: track.is_secondary)
    copies = [
        media.model_copy(
            update={"track": track.index, "channels": track.channels or media.channels, "duration_is_estimate": True}
        )
        for track in others
    ]
    return [media, *copies]
