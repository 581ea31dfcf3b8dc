"""Every container and codec that FFmpeg can write here and that is transcribed; docs/formats.md has them as a table."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

from tests.support.tone_recordings import SECONDS, Record


class Kind(NamedTuple):
    """A container, one of its codecs, and how FFmpeg makes such a file."""

    container: str
    extension: str
    codec: str
    options: str = ""
    picture: str = ""
    rate_hz: int = 44_100


FILM = "testsrc=size=720x576:rate=25"
DV = "-map 1:v -map 0:a -ar 48000 -ac 2 -c:v dvvideo -pix_fmt yuv420p"
MXF = "-map 1:v -map 0:a -ar 48000 -c:v mpeg2video -c:a pcm_s16le"
TRY = "-strict experimental"
K48 = 48_000

KINDS = (
    Kind("WAV", "wav", "PCM, 8 bits", "-c:a pcm_u8"),
    Kind("WAV", "wav", "PCM, 16 bits"),
    Kind("WAV", "wav", "PCM, 24 bits", "-c:a pcm_s24le"),
    Kind("WAV", "wav", "PCM, 32 bits", "-c:a pcm_s32le"),
    Kind("WAV", "wav", "PCM, float", "-c:a pcm_f32le"),
    Kind("WAV", "wav", "PCM, double", "-c:a pcm_f64le"),
    Kind("WAV", "wav", "A-law", "-c:a pcm_alaw -ar 8000", rate_hz=8000),
    Kind("WAV", "wav", "mu-law", "-c:a pcm_mulaw -ar 8000", rate_hz=8000),
    Kind("WAV", "wav", "IMA ADPCM", "-c:a adpcm_ima_wav"),
    Kind("WAV", "wav", "Microsoft ADPCM", "-c:a adpcm_ms"),
    Kind("WAV", "wav", "Yamaha ADPCM", "-c:a adpcm_yamaha"),
    Kind("WAV", "wav", "G.722", "-c:a g722 -ar 16000", rate_hz=16000),
    Kind("WAV", "wav", "G.726", "-c:a g726 -ar 8000 -b:a 32k", rate_hz=8000),
    Kind("WAV", "wav", "MP3", "-c:a libmp3lame"),
    Kind("WAV", "wav", "MP2", "-c:a mp2"),
    Kind("WAV", "wav", "AC-3", "-c:a ac3"),
    Kind("WAV", "wav", "DTS", f"-c:a dca {TRY} -ar 48000", rate_hz=K48),
    Kind("WAV", "wav", "WMA", "-c:a wmav2"),
    Kind("RF64, BW64", "wav", "PCM", "-rf64 always"),
    Kind("Wave64", "w64", "PCM"),
    Kind("AIFF, AIFF-C", "aiff", "PCM, 16 bits"),
    Kind("AIFF, AIFF-C", "aiff", "PCM, 24 bits", "-c:a pcm_s24be"),
    Kind("AIFF, AIFF-C", "aiff", "A-law", "-c:a pcm_alaw"),
    Kind("AU", "au", "PCM"),
    Kind("AU", "au", "mu-law", "-c:a pcm_mulaw"),
    Kind("Core Audio (CAF)", "caf", "PCM"),
    Kind("Core Audio (CAF)", "caf", "ALAC", "-c:a alac"),
    Kind("Core Audio (CAF)", "caf", "IMA ADPCM", "-c:a adpcm_ima_qt"),
    Kind("Creative Voice", "voc", "PCM", "-c:a pcm_s16le"),
    Kind("SoX", "sox", "PCM"),
    Kind("IRCAM", "sf", "PCM", "-f ircam"),
    Kind("FLAC", "flac", "FLAC"),
    Kind("WavPack", "wv", "WavPack"),
    Kind("True Audio", "tta", "TTA"),
    Kind("MPEG audio", "mp3", "MP3"),
    Kind("MPEG audio", "mp2", "MP2"),
    Kind("AAC (ADTS)", "aac", "AAC"),
    Kind("AAC (LATM, LOAS)", "latm", "AAC", "-c:a aac"),
    Kind("AC-3, E-AC-3", "ac3", "AC-3"),
    Kind("AC-3, E-AC-3", "eac3", "E-AC-3"),
    Kind("DTS", "dts", "DTS", f"{TRY} -ar 48000", rate_hz=K48),
    Kind("TrueHD, MLP", "thd", "TrueHD", f"{TRY} -ar 48000", rate_hz=K48),
    Kind("TrueHD, MLP", "mlp", "MLP", f"{TRY} -ar 48000", rate_hz=K48),
    Kind("S/PDIF", "spdif", "AC-3", "-c:a ac3 -ar 48000", rate_hz=K48),
    Kind("AMR", "amr", "AMR-NB", "-ar 8000", rate_hz=8000),
    Kind("Ogg", "opus", "Opus", rate_hz=K48),
    Kind("Ogg", "ogg", "Vorbis", "-c:a libvorbis"),
    Kind("Ogg", "oga", "FLAC", "-c:a flac"),
    Kind("Matroska, WebM", "webm", "Opus", rate_hz=K48),
    Kind("Matroska, WebM", "mka", "PCM", "-c:a pcm_s16le"),
    Kind("Matroska, WebM", "mka", "AAC", "-c:a aac"),
    Kind("Matroska, WebM", "mka", "AC-3", "-c:a ac3"),
    Kind("Matroska, WebM", "mka", "DTS", f"-c:a dca {TRY} -ar 48000", rate_hz=K48),
    Kind("Matroska, WebM", "mka", "TrueHD", f"-c:a truehd {TRY} -ar 48000", rate_hz=K48),
    Kind("Matroska, WebM", "mka", "ALAC", "-c:a alac"),
    Kind("Matroska, WebM", "mka", "WavPack", "-c:a wavpack"),
    Kind("Matroska, WebM", "mka", "TTA", "-c:a tta"),
    Kind("MP4, QuickTime, 3GP, F4V", "m4a", "AAC"),
    Kind("MP4, QuickTime, 3GP, F4V", "m4a", "ALAC", "-c:a alac"),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "MP3", "-c:a libmp3lame"),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "AC-3", "-c:a ac3"),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "E-AC-3", "-c:a eac3"),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "Opus", "-c:a libopus", rate_hz=K48),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "FLAC", "-c:a flac"),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "DTS", f"-c:a dca {TRY} -ar 48000", rate_hz=K48),
    Kind("MP4, QuickTime, 3GP, F4V", "mp4", "TrueHD", f"-c:a truehd {TRY} -ar 48000", rate_hz=K48),
    Kind("MP4, QuickTime, 3GP, F4V", "mov", "PCM", "-c:a pcm_s16le"),
    Kind("MP4, QuickTime, 3GP, F4V", "mov", "mu-law", "-c:a pcm_mulaw -ar 8000", rate_hz=8000),
    Kind("MP4, QuickTime, 3GP, F4V", "mov", "IMA ADPCM", "-c:a adpcm_ima_qt"),
    Kind("MP4, QuickTime, 3GP, F4V", "3gp", "AMR-NB", "-c:a libopencore_amrnb -ar 8000", rate_hz=8000),
    Kind("MP4, QuickTime, 3GP, F4V", "f4v", "AAC", "-c:a aac"),
    Kind("MPEG-TS, M2TS", "ts", "AAC", "-c:a aac"),
    Kind("MPEG-TS, M2TS", "ts", "AAC (LATM)", "-c:a aac -mpegts_flags latm"),
    Kind("MPEG-TS, M2TS", "ts", "MP2", "-c:a mp2"),
    Kind("MPEG-TS, M2TS", "ts", "AC-3", "-c:a ac3"),
    Kind("MPEG-TS, M2TS", "ts", "E-AC-3", "-c:a eac3"),
    Kind("MPEG-TS, M2TS", "ts", "Opus", "-c:a libopus", rate_hz=K48),
    Kind("MPEG-TS, M2TS", "ts", "DTS", f"-c:a dca {TRY} -ar 48000", rate_hz=K48),
    Kind("MPEG-TS, M2TS", "ts", "SMPTE 302M", f"-c:a s302m {TRY} -ar 48000 -ac 2", rate_hz=K48),
    Kind("MPEG-TS, M2TS", "m2ts", "Blu-ray PCM", "-c:a pcm_bluray -ar 48000 -mpegts_m2ts_mode 1", rate_hz=K48),
    Kind("MPEG-TS, M2TS", "m2ts", "TrueHD", f"-c:a truehd {TRY} -ar 48000 -mpegts_m2ts_mode 1", rate_hz=K48),
    Kind("MPEG program stream, VOB", "mpg", "MP2"),
    Kind("MPEG program stream, VOB", "vob", "AC-3", "-c:a ac3"),
    Kind("MPEG program stream, VOB", "vob", "DTS", f"-c:a dca {TRY} -ar 48000", rate_hz=K48),
    Kind("MPEG program stream, VOB", "vob", "DVD PCM", "-c:a pcm_dvd -ar 48000 -ac 2", rate_hz=K48),
    Kind("ASF, WMA, WMV", "wma", "WMA 2"),
    Kind("ASF, WMA, WMV", "asf", "WMA 1", "-c:a wmav1"),
    Kind("ASF, WMA, WMV", "asf", "MP3", "-c:a libmp3lame"),
    Kind("AVI", "avi", "PCM", "-c:a pcm_s16le"),
    Kind("AVI", "avi", "MP3"),
    Kind("Flash video", "flv", "AAC", "-c:a aac"),
    Kind("Flash video", "flv", "MP3", "-c:a libmp3lame"),
    Kind("Flash video", "flv", "Nellymoser", "-c:a nellymoser -ar 16000", rate_hz=16000),
    Kind("RealMedia", "rm", "AC-3", "-c:a ac3"),
    Kind("RealMedia", "rm", "RealAudio 1", "-c:a real_144 -ar 8000", rate_hz=8000),
    Kind("NUT", "nut", "PCM", "-c:a pcm_s16le"),
    Kind("Windows TV", "wtv", "MP2", "-c:a mp2"),
    Kind("MXF", "mxf", "PCM", MXF, FILM, K48),
    Kind("DV", "dv", "PCM", DV, FILM, K48),
)

UNTRIED = (
    "Monkey's Audio (.ape)", "TAK", "Musepack", "DSDIFF and 8SVX (.iff)", "OMA (ATRAC)", "Shorten", "TwinVQ", "QCP",
    "xWMA", "DSS and DS2 dictation (.dss)", "NSV", "NuppelVideo", "PVA", "PVF", "AVR", "ACT", "AEA", "GSM 06.10 (.gsm)",
    "Dahua video (.dav)", "GXF", "Wide Screen Sound (.wsd)", "AMR-WB", "Speex", "iLBC",
)  # fmt: skip
"""Kinds that FFmpeg reads and cannot write here."""


def id_of(kind: Kind) -> str:
    """For a test's name."""
    return f"{kind.container} {kind.extension} {kind.codec}"


def make(kind: Kind, record: Record) -> bytes:
    """Five seconds of a tone."""
    return record(kind.extension, *kind.options.split(), picture=kind.picture)


def table() -> str:
    """The table of docs/formats.md."""
    rows = ["| container | files | codecs |", "|---|---|---|"]
    for container, kinds in groupby(KINDS, key=lambda kind: kind.container):
        group = list(kinds)
        files = ", ".join(dict.fromkeys(f"`.{kind.extension}`" for kind in group))
        rows.append(f"| {container} | {files} | {'; '.join(dict.fromkeys(kind.codec for kind in group))} |")
    return "\n".join(rows) + "\n"


def sphere(seconds: int = SECONDS) -> bytes:
    """NIST SPHERE, 16 kHz, 16 bits, of a square wave."""
    count = 16_000 * seconds
    fields = (
        f"NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i 16000\nsample_n_bytes -i 2\nsample_count -i {count}\n"
    )
    fields += "sample_byte_format -s2 01\nsample_coding -s3 pcm\nsample_sig_bits -i 16\nend_head\n"
    return fields.encode().ljust(1024) + struct.pack("<40h", *[8000] * 20, *[-8000] * 20) * (count // 40)


def dsf(seconds: int = SECONDS) -> bytes:
    """DSF, one bit at 2.8 MHz in one channel, of silence."""
    blocks = -(-2_822_400 * seconds // 8 // 4096)
    data = b"\x69" * (4096 * blocks)
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, 2_822_400, 1, 2_822_400 * seconds, 4096, 0)
    head = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12 + len(data), 0)
    return head + form + struct.pack("<4sQ", b"data", 12 + len(data)) + data


MADE_BY_HAND: dict[str, Callable[[], bytes]] = {"NIST SPHERE (.sph)": sphere, "DSF (.dsf)": dsf}


def hand_made() -> Iterator[tuple[str, bytes]]:
    """Kinds without a writer in FFmpeg."""
    for name, build in MADE_BY_HAND.items():
        yield name, build()
