"""A part of a file, begun anywhere, has the samples of the whole file to the last bit; else it says that it may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dropscribe.local_media import inspected
from gpu_job.audio.decode import decode_channels
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder_stream import InexactPart
from gpu_job.audio.parallel import MIN_WINDOW_SECONDS, ParallelDecoding, Window, can_begin_anywhere, plan_part
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import recording
from shared.media import Media
from tests.support.sounds import make, stated

ALONE = ParallelDecoding(children=1)
HALVES = ParallelDecoding(children=2, ahead_seconds=4 * MIN_WINDOW_SECONDS)
BEGIN = 17 * SAMPLE_RATE
REST = Window(BEGIN, None)
SPEECH = ("-t", "80", "-i", str(recording("long_seen.opus").path))
STEREO = (*SPEECH, "-filter_complex", "[0:a]asplit[l][d];[d]adelay=700[r];[l][r]join=inputs=2", "-ar", "44100")
PICTURE = ("-itsoffset", "1.5", *SPEECH, "-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=80")

EXACT: dict[str, tuple[str, ...]] = {
    "cd.wav": STEREO,
    "telephone.wav": (*SPEECH, "-c:a", "pcm_mulaw", "-ar", "8000"),
    "a.flac": STEREO,
    "alac.m4a": (*STEREO, "-c:a", "alac"),
    "plain.m4a": (*STEREO, "-aac_pns", "0"),
    "late.mp4": (*PICTURE, "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4", "-aac_pns", "0"),
    "a.opus": (*SPEECH, "-c:a", "copy"),
    "a.aiff": STEREO,
}
FROM_ITS_START: dict[str, tuple[str, ...]] = {
    "a.mkv": (*STEREO, "-c:a", "aac"),
    "a.webm": (*SPEECH, "-c:a", "copy"),
    "a.ogg": (*STEREO, "-c:a", "libvorbis"),
    "a.mp3": STEREO,
    "adpcm.wav": (*STEREO, "-c:a", "adpcm_ima_wav"),
}


def samples(path: Path, media: Media, part: Window | None = None, parallel: ParallelDecoding = HALVES) -> Samples:
    """Each channel."""
    options = DecodeOptions(media=media, parallel=parallel, part=part)
    return np.concatenate(list(decode_channels(path, media.channels, options)), axis=1)


@pytest.mark.parametrize("name", EXACT)
def test_a_part_has_the_samples_of_the_whole_file(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, *EXACT[name])
    media = inspected(path)
    whole = samples(path, media, parallel=ALONE)
    assert whole.shape[1] > 75 * SAMPLE_RATE
    assert np.array_equal(samples(path, media, REST), whole[:, BEGIN:])
    inside = Window(BEGIN, BEGIN + 35 * SAMPLE_RATE)
    assert np.array_equal(samples(path, media, inside), whole[:, inside.start : inside.end])


@pytest.mark.parametrize("name", FROM_ITS_START)
def test_where_it_may_have_others_it_is_refused(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, *FROM_ITS_START[name])
    with pytest.raises(InexactPart):
        samples(path, inspected(path), REST)


def test_noise_that_a_decoder_fills_in_is_not_the_same_and_is_noticed(tmp_path: Path) -> None:
    """FFmpeg's own AAC encoder leaves bands of noise to the decoder (PNS), which draws it anew."""
    hiss = ("-f", "lavfi", "-i", "anoisesrc=amplitude=0.3:duration=80:sample_rate=44100")
    path = make(tmp_path / "noise.m4a", *hiss, "-b:a", "32k", "-aac_pns", "1")
    media = inspected(path)
    assert can_begin_anywhere(media)
    with pytest.raises(InexactPart, match="the decoders differ"):
        samples(path, media, REST)


def test_a_part_behind_the_files_end_is_refused(tmp_path: Path) -> None:
    """Its header may state any length: only who decodes from the start finds where it ends."""
    path = make(tmp_path / "short.flac", *SPEECH)
    with pytest.raises(InexactPart):
        samples(path, stated(path, "flac", 4000, codec="flac"), Window(3000 * SAMPLE_RATE, None))


@pytest.mark.parametrize(("children", "seconds"), [(1, 86_400), (4, 86_400), (4, 100), (2, 20)])
def test_windows_of_a_part_are_several_and_leave_nothing_out(children: int, seconds: float) -> None:
    media = Media(
        container="wav",
        codec="pcm_s16le",
        duration_seconds=seconds,
        sample_rate_hz=16_000,
        channels=2,
        size_bytes=1,
        has_video=False,
    )
    begin = min(80_000, int(seconds) // 2) * SAMPLE_RATE
    for end in (None, begin + 3600 * SAMPLE_RATE):
        plan = plan_part(media, ParallelDecoding(children=children), Window(begin, end))
        assert len(plan) > 1
        assert plan[0].start == begin
        assert [window.end for window in plan[:-1]] == [window.start for window in plan[1:]]
        assert plan[-1].end == end
        assert all((window.frames or 0) <= 150 * SAMPLE_RATE for window in plan[:-1])


def test_opus_of_speech_has_the_same_samples_from_wherever_it_is_begun(tmp_path: Path) -> None:
    """A decoder that is begun at 74 s takes 1.6 s to give them, and one that is begun at 132 s takes 1.9."""
    speech = ("-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", "150")
    path = make(tmp_path / "voice.opus", *speech, "-c:a", "libopus", "-b:a", "12k", "-application", "voip")
    media, often = inspected(path), ParallelDecoding(children=2, ahead_seconds=2 * MIN_WINDOW_SECONDS)
    whole = samples(path, media, parallel=ALONE)
    for start in (74, 132):
        for lead in (4, 8):
            begin = (start + lead - MIN_WINDOW_SECONDS) * SAMPLE_RATE
            part = Window(begin, None)
            assert plan_part(media, often, part)[1].start == (start + lead) * SAMPLE_RATE
            assert np.array_equal(samples(path, media, part, often), whole[:, begin:])
