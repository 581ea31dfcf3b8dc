"""Decode any upload to blocks of 16 kHz samples: the mono mix, separate channels, or the mix of several tracks."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import ESTIMATE_TOLERANCE, Account
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_stream import DecoderStream, merged_account
from gpu_job.audio.mix.mixdown import mix_down
from gpu_job.audio.mix.side_by_side import side_by_side
from gpu_job.audio.packet_check import HeardSound, lost_by_packets, merged_losses
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import AudioBlock, Frames, Samples, seconds
from shared.errors import BadMedia, FailureKind
from shared.media import Media
from shared.transcript.model import Gap, missing_end

MAX_SPLIT_CHANNELS = 8
"""More channels than this are not one speaker per channel."""

_DEFAULTS = DecodeOptions()


def decode(path: Path, options: DecodeOptions = _DEFAULTS) -> Iterator[Samples]:
    """Blocks of the mono mix, shape [T], until the file's end: of one track, or of all where `media` says so.

    Raises as `decode_blocks` does.
    """
    media = options.media
    if media is not None and media.mixes_tracks and options.track is None:
        return decode_tracks(path, [each.index for each in media.tracks if each.is_readable], options)
    return mix_down(decode_blocks(path, options), options.mix_probe)


def decode_channels(path: Path, channels: int, options: DecodeOptions = _DEFAULTS) -> Iterator[Frames]:
    """As `decode`, with so many separate channels: blocks of shape [channels, T].

    Raises BadMedia also where there are more than MAX_SPLIT_CHANNELS.
    """
    if channels > MAX_SPLIT_CHANNELS:
        limit = f"at most {MAX_SPLIT_CHANNELS} can be transcribed separately"
        raise BadMedia(f"The recording has {channels} channels; {limit}.")
    for block in decode_blocks(path, options):
        missing = channels - block.samples.shape[1]
        frames = np.pad(block.samples, ((0, 0), (0, missing))) if missing > 0 else block.samples[:, :channels]
        yield np.ascontiguousarray(frames.T)


def decode_tracks(path: Path, tracks: Sequence[int], options: DecodeOptions = _DEFAULTS) -> Iterator[Samples]:
    """The mix of several tracks, one decoder each; it lasts as long as the longest. `tracks`: stream indexes.

    Raises as `decode_blocks` does.
    """
    accounts: list[Account] = []
    frames = 0
    with ExitStack() as stack:
        streams = []
        for track in tracks:
            # What inspection found is not this one track's.
            alone = replace(
                options,
                media=None,
                mix_probe=None,
                track=track,
                parallel=ParallelDecoding(children=1),
                on_account=accounts.append,
                on_packets=lambda _: None,
            )
            streams.append(stack.enter_context(closing(_decoded(path, alone))))
        for block in mix_down(side_by_side(streams)):
            frames += len(block)
            yield block
    account = merged_account(accounts)
    _tell_missing_end(options, frames, account)
    options.on_account(account)


def decode_blocks(path: Path, options: DecodeOptions = _DEFAULTS) -> Iterator[AudioBlock]:
    """All channels of a file, in blocks of 16 s at most, until its end.

    Raises BadMedia where nothing can be decoded, DecoderFailed where the decoder stalls, crashes or
    breaks off, or the file goes on far beyond its stated length.
    """
    return _decoded(path, options)


def _decoded(path: Path, options: DecodeOptions) -> Generator[AudioBlock]:
    stream, heard = DecoderStream(path, options), HeardSound()
    try:
        for block in stream.blocks():
            heard.add(block)
            yield replace(block, samples=sanitized(block.samples))
            if seconds(heard.frames) > stream.longest_seconds:
                raise DecoderFailed("The file is far longer than its header states.")
        if not heard.frames:
            raise DecoderFailed("The file has no sound.", detail=" (there is no sound in it)")
    except DecoderFailed as error:
        if not heard.frames and error.kind is not FailureKind.TIMEOUT:
            raise BadMedia(f"No audio could be decoded from the file{error.detail}.") from None
        raise
    else:
        account = stream.account(heard.frames)
        if stream.packets is not None:
            stream.losses += lost_by_packets(stream.packets, account, heard, merged_losses(stream.losses))
            options.on_packets(stream.packets)
        _tell_missing_end(options, heard.frames, account)
        options.on_account(replace(account, frames=heard.frames))
    finally:
        options.on_heard(heard)
        for loss in merged_losses(stream.losses):
            options.on_damage(Gap(start=seconds(loss.start), end=seconds(loss.end), reason=loss.reason))


def _tell_missing_end(options: DecodeOptions, frames: int, account: Account) -> None:
    """What inspection found and the decoder, which knows nothing of a promise, did not reach."""
    media = options.media
    if options.part is not None:
        return  # its frames are not counted from the file's start
    if media is None or account.promised_seconds is not None or not _is_known(media, account):
        return
    # Sound whose length was estimated may be longer, and the rest of the file has the wrong time already.
    gap = missing_end(media, seconds(frames) + ESTIMATE_TOLERANCE * account.estimated_loss_seconds)
    if gap is not None:
        options.on_damage(gap)


def _is_known(media: Media, account: Account) -> bool:
    """Where the format changes, packets' durations are wrong, by which inspection measures."""
    return account.formats <= 1 or media.promised_seconds is not None


def sanitized(frames: Frames) -> Frames:
    """The frames without NaN and infinity, limited to [-1, 1]."""
    if frames.min(initial=0.0) >= -1.0 and frames.max(initial=0.0) <= 1.0:  # neither holds for NaN
        return frames
    clean: Frames = np.clip(np.nan_to_num(frames, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return clean
