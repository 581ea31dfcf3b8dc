"""Decode the first track that has sound: a silent default track beside a sounding one is not "no speech"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpu_job.audio.decode import OnAccount, OnDamage, block_lengths, decode
from gpu_job.audio.decoder.records import Account
from gpu_job.audio.decoder_child import DecoderLimits
from gpu_job.audio.parallel import ParallelDecoding
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

    def __init__(self, path: Path, limits: DecoderLimits, media: Media, parallel: ParallelDecoding) -> None:
        self.media = media
        """Of the track that is being heard."""
        self._path = path
        self._limits = limits
        self._parallel = parallel

    def blocks(self, on_damage: OnDamage, on_account: OnAccount) -> Iterator[Samples]:
        """As `gpu_job.audio.decode.decode`; where other tracks could be heard, silence at the start comes late."""
        candidates = _candidates(self.media)
        if len(candidates) == 1:
            yield from self._decoded(candidates[0], on_damage, on_account)
            return
        silent_tracks: list[tuple[Media, int, _Told]] = []
        failure: BadMedia | None = None
        for self.media in candidates:
            silent, told, has_sound = 0, _Told(), False
            try:
                for block in self._decoded(self.media, told.damage.append, told.accounts.append):
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
                    told.tell(on_damage, on_account)
            if has_sound:
                return
        if not silent_tracks:
            assert failure is not None  # every track is silent or raised
            raise failure
        self.media, silent, told = silent_tracks[0]
        yield from _zeros(silent)
        told.tell(on_damage, on_account)

    def _decoded(self, media: Media, on_damage: OnDamage, on_account: OnAccount) -> Iterator[Samples]:
        return decode(
            self._path,
            self._limits,
            media=media,
            parallel=self._parallel,
            on_damage=on_damage,
            on_account=on_account,
        )


@dataclass
class _Told:
    """What the decoder says of a track, kept until it is known which track is heard."""

    damage: list[Gap] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    def tell(self, on_damage: OnDamage, on_account: OnAccount) -> None:
        """Pass it on."""
        for gap in self.damage:
            on_damage(gap)
        for account in self.accounts:
            on_account(account)


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
