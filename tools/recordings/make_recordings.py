"""Make the shipped recordings again: `python -m tools.recordings.make_recordings` (needs espeak-ng and ffmpeg).

Every file is decoded again and compared with what went in, because encoders add a delay and players take it back out.
"""

import argparse
import json
import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra import recordings
from tools.recordings.conversation import Conversation, converse
from tools.tiny_parakeet.espeak import Espeak, Word
from tools.tiny_parakeet.languages.english import ENGLISH

_FFMPEG = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y")
_LARGEST_LAG_SECONDS = 0.03
_COMPARED_SECONDS = 5.0
_PUNCTUATION = ".,?"


@dataclass(frozen=True)
class Plan:
    """One recording to make."""

    file_name: str
    seconds: float
    """The last sentence begins before this."""
    sample_rate: int
    encoder: tuple[str, ...]
    """ffmpeg's output options."""
    speakers: int
    seen: bool = True
    long_silences: int = 0
    noise_db: float = -75.0
    video: bool = False


_LONG_OPUS = ("-c:a", "libopus", "-b:a", "16k", "-application", "voip")
PLANS = (
    Plan("call.opus", 18, 16_000, ("-c:a", "libopus", "-b:a", "24k", "-application", "voip"), 2, noise_db=-55),
    Plan("podcast.mp3", 20, 44_100, ("-c:a", "libmp3lame", "-b:a", "64k", "-ac", "2"), 2),
    Plan("interview.m4a", 20, 48_000, ("-c:a", "aac", "-b:a", "64k"), 2),
    Plan("memo.wav", 8, 16_000, ("-c:a", "pcm_s16le"), 1, noise_db=-60),
    Plan("lecture.flac", 16, 22_050, ("-c:a", "flac", "-sample_fmt", "s16"), 1),
    Plan("stream.mp4", 18, 44_100, ("-c:v", "mpeg4", "-b:v", "60k", "-c:a", "aac", "-b:a", "64k"), 1, video=True),
    Plan("long_seen.opus", 598, 16_000, _LONG_OPUS, 8, long_silences=3, noise_db=-65),
    Plan("long_unseen.opus", 598, 16_000, _LONG_OPUS, 8, seen=False, long_silences=3, noise_db=-65),
)


def make(espeak: Espeak, plan: Plan, folder: Path) -> str:
    """Write one recording and its truth; say what came out."""
    # Training draws from generators seeded "<seed>/<part>/<shard>", so this one is none of them.
    rng = random.Random(f"recordings/{plan.file_name}")
    conversation = converse(
        espeak,
        rng,
        seconds=plan.seconds,
        sample_rate=plan.sample_rate,
        speakers=plan.speakers,
        seen=plan.seen,
        long_silences=plan.long_silences,
        noise_db=plan.noise_db,
    )
    _check_vocabulary(conversation.words)
    path = folder / plan.file_name
    _encode(conversation, plan, path)
    decoded = _decode(path, plan.sample_rate)
    lag = _largest_lag(conversation.samples, decoded, plan.sample_rate)
    if abs(lag) > _LARGEST_LAG_SECONDS:
        raise RuntimeError(f"{path.name} plays {lag * 1000:.0f} ms late")
    truth = {
        "text": " ".join(word.text for word in conversation.words),
        "voice": ", ".join(conversation.voices),
        "seen_voice": plan.seen,
        "duration": round(len(decoded) / plan.sample_rate, 3),
    }
    path.with_name(f"{path.name}.truth.json").write_text(_truth_json(truth, conversation.words))
    return (
        f"{path.name}: {truth['duration']} s, {len(conversation.words)} words, {path.stat().st_size / 1000:.0f} kB, "
        f"lag {lag * 1000:+.1f} ms"
    )


def _check_vocabulary(words: tuple[Word, ...]) -> None:
    unknown = {word.text for word in words if word.text.rstrip(_PUNCTUATION).lower() not in ENGLISH.words}
    if unknown:
        raise RuntimeError(f"not in the vocabulary: {sorted(unknown)}")


def _encode(conversation: Conversation, plan: Plan, path: Path) -> None:
    raw = ("-f", "f32le", "-ar", str(plan.sample_rate), "-ac", "1")
    picture = ("-f", "lavfi", "-i", "testsrc=size=320x180:rate=5", "-shortest") if plan.video else ()
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder, "samples.raw")
        samples.write_bytes(conversation.samples.tobytes())
        bit_exact = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact")
        subprocess.run((*_FFMPEG, *raw, "-i", samples, *picture, *plan.encoder, *bit_exact, path), check=True)


def _decode(path: Path, sample_rate: int) -> NDArray[np.float32]:
    command = (*_FFMPEG, "-i", path, "-vn", "-f", "f32le", "-ar", str(sample_rate), "-ac", "1", "pipe:")
    return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, np.float32)


def _largest_lag(original: NDArray[np.float32], decoded: NDArray[np.float32], sample_rate: int) -> float:
    """Seconds by which the decoded sound is late, where it is worst: at its beginning, its middle or its end."""
    length = min(len(original), len(decoded))
    window = min(int(_COMPARED_SECONDS * sample_rate), length)
    lags = [
        _lag(original[begin : begin + window], decoded[begin : begin + window]) / sample_rate
        for begin in (0, (length - window) // 2, length - window)
    ]
    return max(lags, key=abs)


def _lag(original: NDArray[np.float32], decoded: NDArray[np.float32]) -> int:
    """Samples by which the second sound is behind the first: the peak of their cross-correlation."""
    size = 2 * len(original)
    product = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(original, size))
    peak = int(np.argmax(np.fft.irfft(product, size)))
    return peak if peak < len(original) else peak - size


def _truth_json(truth: dict[str, object], words: tuple[Word, ...]) -> str:
    """One line per word, so that changes can be read."""
    lines = [
        "  " + json.dumps({"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)})
        for word in words
    ]
    head = json.dumps(truth, indent=1).removesuffix("\n}")
    return head + ',\n "words": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def main() -> None:
    """Make all recordings, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="file names; all of them when none is given")
    parser.add_argument("--folder", type=Path, default=Path(recordings.__file__).parent)
    arguments = parser.parse_args()
    espeak = Espeak()
    for plan in PLANS:
        if not arguments.names or plan.file_name in arguments.names:
            print(make(espeak, plan, arguments.folder))


if __name__ == "__main__":
    main()
