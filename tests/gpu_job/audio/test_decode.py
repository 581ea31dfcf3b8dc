"""Decoding: every format becomes 16 kHz mono on the player's clock, and no upload reaches beyond itself."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_process.start import DecoderLimits, DecoderProcess
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import recording, shipped
from shared.errors import BadMedia, EngineFailed, FailureKind
from tests.support.sounds import make, tone
from tests.support.started_decoders import started

LIMITS = DecoderLimits()
RAW_TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=16000")


def samples_of(path: Path, limits: DecoderLimits = LIMITS) -> Samples:
    return np.concatenate(list(decode(path, DecodeOptions(limits=limits))))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[DecoderProcess]:
    """Every decoder that the test starts."""
    return started(monkeypatch)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        yield server


@pytest.mark.parametrize("name", [each.path.name for each in shipped()])
def test_a_recording_has_the_length_of_its_truth(name: str) -> None:
    one = recording(name)
    samples = samples_of(one.path)
    assert len(samples) / SAMPLE_RATE == pytest.approx(one.duration, abs=0.1)
    assert samples.dtype == np.float32
    assert 0.01 < np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    path = make(tmp_path / "a.wav", *RAW_TONE, "-ar", str(rate), "-ac", str(channels))
    samples = samples_of(path)
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE, abs=32)
    spectrum = np.abs(np.fft.rfft(samples[:SAMPLE_RATE]))
    assert int(spectrum.argmax()) == pytest.approx(440, abs=1)


def test_a_track_that_starts_late_begins_with_silence(tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=4")
    delayed = ("-itsoffset", "1.5", *RAW_TONE)
    path = make(tmp_path / "late.mp4", *picture, *delayed, "-c:v", "mpeg4", "-c:a", "aac", "-map", "0:v", "-map", "1:a")
    samples = samples_of(path)
    assert len(samples) / SAMPLE_RATE == pytest.approx(3.5, abs=0.1)
    assert np.abs(samples[: int(1.4 * SAMPLE_RATE)]).max() < 1e-3
    assert np.abs(samples[int(1.6 * SAMPLE_RATE) : 2 * SAMPLE_RATE]).max() > 0.05


def test_nan_and_infinity_do_not_reach_the_model(tmp_path: Path) -> None:
    wave = tone(1, -20.0)
    wave[[100, 200, 300]] = np.nan, np.inf, -np.inf
    raw = tmp_path / "raw"
    raw.write_bytes(wave.tobytes())
    path = make(tmp_path / "a.wav", "-f", "f32le", "-ar", "16000", "-ac", "1", "-i", str(raw), "-c:a", "pcm_f32le")
    samples = samples_of(path)
    assert len(samples) == SAMPLE_RATE
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


def test_what_follows_broken_frames_is_decoded_too(tmp_path: Path, children: list[DecoderProcess]) -> None:
    data, junk = recording("podcast.mp3").path.read_bytes(), random.Random(3)
    gaps = b"".join(data[at : at + 3000] + junk.randbytes(200) for at in range(0, len(data), 3200))
    path = tmp_path / "a.mp3"
    path.write_bytes(data[:60_000] + junk.randbytes(4000) + data[64_000:])
    assert len(samples_of(path)) / SAMPLE_RATE > recording("podcast.mp3").duration - 2
    path.write_bytes(gaps)
    assert len(samples_of(path)) / SAMPLE_RATE > recording("podcast.mp3").duration / 2
    # Bytes that look like frames of another rate have the second file decoded once more, in a steadier way.
    assert {child.wait(0) for child in children} <= {0, -9}


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 5000, b"Dear Sir or Madam, " * 500, b"ID3\x04\0\0\0\0\0\x0a" + b"\xff" * 99]
)
def test_what_is_not_media_is_refused_in_words_for_a_person(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(BadMedia) as caught:
        samples_of(path)
    assert caught.value.reason.startswith("No audio could be decoded from the file")
    assert str(tmp_path) not in caught.value.reason
    assert "status" not in caught.value.reason


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", "-f", "lavfi", "-i", "color=size=64x64:duration=1", "-c:v", "mpeg4")
    with pytest.raises(BadMedia) as caught:
        samples_of(path)
    assert str(tmp_path) not in caught.value.reason


LISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{where}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{where}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\na=control:{where}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="x"><Period>'
    '<AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1"><BaseURL>{where}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "pls": "[playlist]\nFile1={where}\nNumberOfEntries=1\n",
}


@pytest.mark.parametrize("kind", sorted(LISTS))
@pytest.mark.parametrize("name", ["upload", "a.mp3", "a.wav"])
def test_a_list_of_other_files_opens_none(tmp_path: Path, listener: socket.socket, kind: str, name: str) -> None:
    secret = make(tmp_path / "secret.wav", *RAW_TONE)
    host, port = listener.getsockname()
    for where in ("secret.wav", str(secret), f"file:{secret}", f"http://{host}:{port}/a.wav", f"tcp://{host}:{port}"):
        path = tmp_path / name
        path.write_text(LISTS[kind].format(where=where))
        with pytest.raises(BadMedia):
            samples_of(path)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.fixture(params=["poll", "no poll"])
def waiting_for_pipes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `select.poll`, and without, as on Windows."""
    if request.param == "no poll":
        monkeypatch.delattr("select.poll")


@pytest.mark.usefixtures("waiting_for_pipes")
def test_a_decoder_that_stalls_is_ended(tmp_path: Path, children: list[DecoderProcess]) -> None:
    path = tmp_path / "a.wav"
    os.mkfifo(path)
    with pytest.raises(EngineFailed) as caught:
        samples_of(path, DecoderLimits(stall_seconds=0.3))
    assert caught.value.kind is FailureKind.TIMEOUT
    assert [child.wait(0) for child in children] == [-9]


def test_a_decoder_nobody_listens_to_any_more_is_reaped(children: list[DecoderProcess]) -> None:
    stream = decode(recording("long_seen.opus").path)
    next(stream)
    stream.close()
    assert [child.wait(0) for child in children] == [-9]


@pytest.mark.usefixtures("waiting_for_pipes")
def test_blocks_are_bounded_however_slow_they_are_taken() -> None:
    lengths = [len(block) for block in decode(recording("long_seen.opus").path)]
    assert sum(lengths) > 500 * SAMPLE_RATE
    assert max(lengths) <= 16 * SAMPLE_RATE


def test_a_decoder_may_use_so_much_and_no_more(tmp_path: Path, children: list[DecoderProcess]) -> None:
    path = tmp_path / "a.wav"
    os.mkfifo(path)
    found: dict[int, tuple[int, int]] = {}
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)

    def look() -> None:
        found.update({kind: resource.prlimit(children[0].pid, kind) for kind in kinds})

    looking = threading.Timer(0.5, look)
    looking.start()
    with pytest.raises(EngineFailed):
        samples_of(path, DecoderLimits(stall_seconds=2.0, memory_mb=700))
    looking.join()
    assert [found[kind][1] for kind in kinds] == [700_000_000, 0, 0]


def test_a_decoder_without_memory_is_no_crash_of_ours() -> None:
    with pytest.raises(BadMedia):
        samples_of(recording("memo.wav").path, DecoderLimits(memory_mb=1))


def test_every_sample_arrives_in_order(tmp_path: Path) -> None:
    ramp = np.linspace(-0.9, 0.9, 5 * SAMPLE_RATE, dtype=np.float32)
    raw = tmp_path / "raw"
    raw.write_bytes(ramp.tobytes())
    path = make(tmp_path / "a.wav", "-f", "f32le", "-ar", "16000", "-ac", "1", "-i", str(raw), "-c:a", "pcm_f32le")
    assert np.array_equal(samples_of(path), ramp)
    assert all(before <= after for before, after in pairwise(ramp))
