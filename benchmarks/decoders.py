"""Decoders by codec: processor seconds for an hour of audio, beside one plain ffmpeg's for the same file.

Processor seconds, and the two in turns: what else the machine does changes both a little.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg

from benchmarks.cpu_seconds import cpu_seconds_of
from benchmarks.report import Measurement
from benchmarks.without_model import plain_ffmpeg
from dropscribe.local_media import inspected
from gpu_job.audio.decode import decode_blocks
from gpu_job.audio.decode_options import DecodeOptions
from infra.recordings import recording

AUDIO_SECONDS = 1800
RUNS = 3
TARGET = 1.2

CODECS = {
    "opus": ("opus", "-c:a", "libopus", "-b:a", "24k", "-ac", "1"),
    "opus stereo": ("opus", "-c:a", "libopus", "-b:a", "96k", "-ac", "2"),
    "mp3": ("mp3", "-ar", "44100", "-ac", "2", "-b:a", "128k"),
    "aac": ("m4a", "-ar", "44100", "-ac", "2", "-b:a", "128k"),
    "flac": ("flac", "-ar", "44100", "-ac", "2"),
    "wav": ("wav", "-ar", "44100", "-ac", "2"),
    "wav of a call": ("wav", "-ar", "8000", "-ac", "1", "-c:a", "pcm_mulaw"),
    "vorbis": ("ogg", "-c:a", "libvorbis", "-ar", "44100", "-ac", "2"),
    "amr": ("amr", "-ar", "8000", "-ac", "1", "-c:a", "libopencore_amrnb", "-b:a", "12.2k"),
    "adpcm of a call": ("wav", "-ar", "8000", "-ac", "1", "-c:a", "adpcm_ms"),
}
"""Ending of the file and ffmpeg's options: what people and telephone systems send."""


def decoders() -> Iterator[Measurement]:
    """Each codec against plain ffmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (ending, *options) in CODECS.items():
            path = encoded(Path(folder), ending, options)
            ours, peer = (statistics.median(times) for times in measured(path))
            yield Measurement(
                f"decoders: {name}, CPU time / plain ffmpeg's",
                ours / peer,
                "x",
                f"{ours:.1f} CPU s an hour, all packets counted twice; ffmpeg {peer:.1f} s",
                f"<= {TARGET} x",
                ours <= TARGET * peer,
            )
            path.unlink()


def encoded(folder: Path, ending: str, options: list[str]) -> Path:
    """AUDIO_SECONDS of speech."""
    path = folder / f"speech.{ending}"
    source = ["-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", str(AUDIO_SECONDS)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *options, path], check=True)
    return path


def measured(path: Path) -> tuple[list[float], list[float]]:
    """Of an hour, in processor seconds: our decoders, and ffmpeg."""
    ours, peer = [], []
    for _ in range(RUNS):
        ours.append(decoder_seconds(path) * 3600 / AUDIO_SECONDS)
        peer.append(cpu_seconds_of(plain_ffmpeg(path)) * 3600 / AUDIO_SECONDS)
    return ours, peer


def decoder_seconds(path: Path) -> float:
    """Processor seconds of all child processes that decode the file once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in decode_blocks(path, DecodeOptions(media=inspected(path))):
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
