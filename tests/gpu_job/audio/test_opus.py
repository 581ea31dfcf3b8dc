"""Opus by libopus at the output's rate: FFmpeg's samples and times, whatever the packets are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.error import InvalidDataError
from av.packet import Packet
from numpy.typing import NDArray

from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, OutputFrame
from gpu_job.audio.decoder.codecs.libopus import EMPTY_PACKET_BYTES, OpusDecoder, opus_decoder
from infra.recordings import recording

SECONDS = 8
CODEC_RATE = 48_000
LEAD_PACKETS = 4 * 50
"""After four seconds a decoder that began in mid-file gives what one gives that did not."""
SILENT = 1e-3

Encode = Callable[..., Path]


@pytest.fixture(scope="module")
def encode(tmp_path_factory: pytest.TempPathFactory) -> Encode:
    """Speech in Opus, by FFmpeg's options."""
    folder = tmp_path_factory.mktemp("opus")

    def encoded(*options: str, ending: str = "opus") -> Path:
        path = folder / f"{'_'.join(options).replace(':', '')}.{ending}"
        if not path.exists():
            source = ["-t", str(SECONDS), "-i", recording("long_seen.opus").path]
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-c:a", "libopus", *options, path]
            subprocess.run(command, check=True)
        return path

    return encoded


def packets_of(
    path: Path, extradata: Callable[[bytes], bytes] = bytes
) -> tuple[AudioStream, list[Packet[AudioStream]]]:
    container = av.open(path)
    stream = container.streams.audio[0]
    stream.codec_context.extradata = extradata(stream.codec_context.extradata or b"")
    return stream, [packet for packet in container.demux(stream) if packet.size]


def decoder_of(stream: AudioStream) -> OpusDecoder:
    decoder = opus_decoder(stream)
    assert decoder is not None  # PyAV's wheels bring libopus
    return decoder


def samples_of(frames: Iterator[OutputFrame] | list[OutputFrame]) -> NDArray[np.float32]:
    """Shape [T, channels]."""
    frames = list(frames)
    return np.frombuffer(b"".join(frame.data for frame in frames), np.float32).reshape(-1, frames[0].format.channels)


def of_ffmpeg(frames: list[AudioFrame]) -> NDArray[np.float32]:
    """Its decoder's samples, resampled by hand: every third of a signal that has nothing above 8 kHz any more."""
    sound = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float64)
    spectrum = np.fft.rfft(sound)
    spectrum[:, round(spectrum.shape[1] / 3) :] = 0
    return np.fft.irfft(spectrum, sound.shape[1])[:, ::3].T.astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        ("-b:a", "24k"),
        ("-b:a", "64k", "-frame_duration", "10"),
        ("-b:a", "16k", "-application", "voip", "-frame_duration", "60"),
        ("-b:a", "64k", "-ac", "2"),
    ],
    ids=" ".join,
)
def test_samples_and_times_are_those_of_ffmpeg(encode: Encode, options: tuple[str, ...]) -> None:
    stream, packets = packets_of(encode(*options))
    decoder = decoder_of(stream)

    ours = [frame for packet in packets for frame in decoder.decode(packet)]
    theirs = [frame for packet in packets for frame in stream.codec_context.decode(packet)]

    assert [frame.pts for frame in ours] == [frame.pts for frame in theirs]
    assert [frame.samples * 3 for frame in ours] == pytest.approx([frame.samples for frame in theirs], abs=1.5)
    found, wanted = samples_of(ours), of_ffmpeg(theirs)
    assert len(found) == pytest.approx(len(wanted), abs=1)
    length = min(len(found), len(wanted))
    difference = np.square(found[:length] - wanted[:length]).mean()
    assert difference < 1e-3 * np.square(wanted).mean()


@pytest.mark.parametrize("ending", ["webm", "mp4"])
def test_what_a_container_says_is_padding_is_left_out(encode: Encode, ending: str) -> None:
    stream, packets = packets_of(encode("-b:a", "24k", "-frame_duration", "60", ending=ending))
    decoder = decoder_of(stream)

    ours = [frame for packet in packets for frame in decoder.decode(packet)]
    theirs = [frame for packet in packets for frame in stream.codec_context.decode(packet)]

    assert [frame.pts for frame in ours] == [frame.pts for frame in theirs]
    assert [frame.samples * 3 for frame in ours] == pytest.approx([frame.samples for frame in theirs], abs=1.5)


@pytest.mark.parametrize(("skipped", "padding"), [(1, 0), (1000, 0), (4000, 0), (0, 100), (959, 1)])
def test_padding_of_any_length(encode: Encode, skipped: int, padding: int) -> None:
    """Also of no whole sample of the output, and of more than a packet."""
    stream, packets = packets_of(encode("-b:a", "24k"))
    decoder = decoder_of(stream)
    for packet in packets:
        if packet.has_sidedata("skip_samples"):
            stated = packet.get_sidedata("skip_samples")
            stated.update(skipped.to_bytes(4, "little") + padding.to_bytes(4, "little") + bytes(2))
            packet.set_sidedata(stated)

    ours = [frame for packet in packets[:10] for frame in decoder.decode(packet)]
    theirs = [frame for packet in packets[:10] for frame in stream.codec_context.decode(packet)]

    both = [[frame.pts for frame in each if frame.samples > 1] for each in (ours, theirs)]
    assert both[0] == both[1]
    assert 3 * sum(frame.samples for frame in ours) == pytest.approx(sum(frame.samples for frame in theirs), abs=3)


def test_the_gain_of_the_header_is_heard(encode: Encode) -> None:
    half = round(256 * 20 * np.log10(0.5))
    path = encode("-b:a", "24k")
    plain, packets = packets_of(path)
    quiet, _ = packets_of(path, lambda head: head[:16] + half.to_bytes(2, "little", signed=True) + head[18:])

    loud, soft = (decoder_of(stream) for stream in (plain, quiet))

    first, second = (samples_of([f for p in packets for f in each.decode(p)]) for each in (loud, soft))
    assert np.abs(second - first / 2).max() < SILENT


def test_one_that_begins_in_mid_file_gives_the_same_samples_also_behind_pauses_without_sound(encode: Encode) -> None:
    stream, packets = packets_of(encode("-b:a", "24k", "-application", "voip", "-dtx", "1"))
    empty = [packet.size <= EMPTY_PACKET_BYTES for packet in packets]
    middle = next(at for at in range(LEAD_PACKETS, len(packets)) if empty[at])
    assert any(empty[middle - LEAD_PACKETS : middle])
    assert not all(empty[middle:])
    decoder, late = decoder_of(stream), decoder_of(stream)

    whole = [decoder.decode(packet) for packet in packets]
    for packet in packets[:50]:
        late.decode(packet)
    late.reset()
    part = [late.decode(packet) for packet in packets[middle - LEAD_PACKETS :]]

    rest = [frames[0].data for frames in part[LEAD_PACKETS:]]
    assert rest == [frames[0].data for frames in whole[middle:]]
    silences = [frames[0] for frames, is_empty in zip(whole, empty, strict=True) if is_empty and frames]
    assert {frame.samples for frame in silences} <= {OUTPUT_RATE // 50}
    assert not any(any(frame.data) for frame in silences)


def test_what_is_no_packet_is_refused_and_the_next_one_decoded(encode: Encode) -> None:
    stream, packets = packets_of(encode("-b:a", "24k"))
    decoder = decoder_of(stream)
    noise: Packet[Any] = Packet(b"\xff\xff" + bytes(50))  # 63 frames in one packet

    with pytest.raises(InvalidDataError):
        decoder.decode(noise)

    assert decoder.decode(packets[5])[0].samples == OUTPUT_RATE // 50


def test_more_than_two_channels_and_damaged_heads_are_left_to_ffmpeg(encode: Encode) -> None:
    surround, _ = packets_of(encode("-b:a", "96k", "-ac", "6"))
    cut, _ = packets_of(encode("-b:a", "24k"), lambda head: head[:12])
    assert opus_decoder(surround) is None
    assert opus_decoder(cut) is None
