"""Headers that state another size or length than there is, junk around the file, and cover pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.media.edits import (
    BrokenPicture,
    Cut,
    FlacSamples,
    Followed,
    FramesRemoved,
    Overwritten,
    Patched,
    Prefixed,
    Scaled,
)
from benchmarks.media.format_table import format_named
from benchmarks.media.formats import SECONDS, WHOLE, Format
from benchmarks.media.recipes import Edit, Encoding, Recipe, Sound, Spoken, Still, Voice

ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
MATROSKA_DURATION = bytes.fromhex("448988")
MATROSKA_SEGMENT = bytes.fromhex("18538067")

SHORT, LONG = 0.25, 2.0
ZERO, ONES = bytes(4), b"\xff" * 4

LIES: dict[str, list[tuple[str, tuple[Edit, ...]]]] = {
    "wav pcm_s16le": [
        ("data size 0", (Patched(b"data", 0, ZERO),)),
        ("all sizes 0", (Patched(b"data", 0, ZERO), Patched(b"RIFF", 0, ZERO))),
        ("data size FFFFFFFF", (Patched(b"data", 0, ONES),)),
        ("all sizes FFFFFFFF", (Patched(b"data", 0, ONES), Patched(b"RIFF", 0, ONES))),
        ("data size a quarter", (Scaled(b"data", 0, "<I", SHORT),)),
        ("all sizes a quarter", (Scaled(b"data", 0, "<I", SHORT), Scaled(b"RIFF", 0, "<I", SHORT))),
    ],
    "wav pcm_mulaw": [("data size a quarter", (Scaled(b"data", 0, "<I", SHORT),))],
    "wav adpcm_ms": [("data size 0", (Patched(b"data", 0, ZERO),))],
    "wav libmp3lame": [("data size a quarter", (Scaled(b"data", 0, "<I", SHORT),))],
    "rf64 pcm_s16le": [
        ("ds64 sizes 0", (Patched(b"ds64", 4, bytes(24)),)),
        ("ds64 data size a quarter", (Scaled(b"ds64", 12, "<Q", SHORT),)),
    ],
    "w64 pcm_s16le": [
        ("data size 0", (Patched(W64_DATA, 0, bytes(8)),)),
        ("data size a quarter", (Scaled(W64_DATA, 0, "<Q", SHORT),)),
    ],
    "aiff pcm_s16be": [
        ("SSND size 0", (Patched(b"SSND", 0, ZERO),)),
        ("SSND size a quarter", (Scaled(b"SSND", 0, ">I", SHORT),)),
        ("number of frames 0", (Patched(b"COMM", 6, ZERO),)),
        ("all a quarter", (Scaled(b"SSND", 0, ">I", SHORT), Scaled(b"COMM", 6, ">I", SHORT))),
    ],
    "au pcm_s16be": [
        ("size 0", (Patched(b".snd", 4, ZERO),)),
        ("size unknown", (Patched(b".snd", 4, ONES),)),
        ("size a quarter", (Scaled(b".snd", 4, ">I", SHORT),)),
    ],
    "caf pcm_s16le": [
        ("data size -1", (Patched(b"data", 0, b"\xff" * 8),)),
        ("data size 0", (Patched(b"data", 0, bytes(8)),)),
        ("data size a quarter", (Scaled(b"data", 0, ">q", SHORT),)),
    ],
    "flac flac": [("samples 0", (FlacSamples(0.0),)), ("samples a quarter", (FlacSamples(SHORT),))],
    "mp3 libmp3lame": [
        ("count a quarter", (Scaled(b"Info", 4, ">I", SHORT), Scaled(b"Info", 8, ">I", SHORT))),
        ("count of frames 0", (Patched(b"Info", 4, ZERO),)),
    ],
    "mka aac": [
        ("duration a quarter", (Scaled(MATROSKA_DURATION, 0, ">d", SHORT),)),
        ("segment size unknown", (Patched(MATROSKA_SEGMENT, 0, b"\x01" + b"\xff" * 7),)),
    ],
    "webm libopus": [("duration a quarter", (Scaled(MATROSKA_DURATION, 0, ">d", SHORT),))],
    "m4a aac": [
        ("mdat size 0", (Patched(b"mdat", -8, ZERO),)),
        ("mdat size a quarter", (Scaled(b"mdat", -8, ">I", SHORT),)),
        ("mvhd a quarter", (Scaled(b"mvhd", 16, ">I", SHORT),)),
        ("tkhd a quarter", (Scaled(b"tkhd", 20, ">I", SHORT),)),
        ("mdhd a quarter", (Scaled(b"mdhd", 16, ">I", SHORT),)),
        ("mdhd four times", (Scaled(b"mdhd", 16, ">I", 4.0),)),
        ("mvhd and tkhd four times", (Scaled(b"mvhd", 16, ">I", 4.0), Scaled(b"tkhd", 20, ">I", 4.0))),
    ],
    "mov pcm_s16le": [("mdat size 0", (Patched(b"mdat", -8, ZERO),))],
    "avi libmp3lame": [
        ("RIFF size 0", (Patched(b"RIFF", 0, ZERO),)),
        ("movi size 0", (Patched(b"movi", -8, ZERO),)),
        ("stream length a quarter", (Scaled(b"auds", 28, "<I", SHORT),)),
        ("stream length 0", (Patched(b"auds", 28, ZERO),)),
    ],
    "avi pcm_s16le": [("stream length a quarter", (Scaled(b"auds", 28, "<I", SHORT),))],
    "wma wmav2": [
        ("play duration 0", (Patched(ASF_FILE_PROPERTIES, 48, bytes(8)),)),
        ("file size and packets 0", (Patched(ASF_FILE_PROPERTIES, 24, bytes(24)),)),
    ],
    "flv aac": [
        ("duration a quarter", (Scaled(b"duration", 1, ">d", SHORT),)),
        ("duration 0", (Patched(b"duration", 1, bytes(8)),)),
    ],
    "tta tta": [("samples a quarter", (Scaled(b"TTA1", 10, "<I", SHORT),))],
    "wv wavpack": [("samples unknown", (Patched(b"wvpk", 8, ONES),))],
}
"""The whole sound is there: all of it is heard."""

PROMISES: dict[str, list[tuple[str, tuple[Edit, ...]]]] = {
    "wav pcm_s16le": [("data size doubled", (Scaled(b"data", 0, "<I", LONG), Scaled(b"RIFF", 0, "<I", LONG)))],
    "aiff pcm_s16be": [("all doubled", (Scaled(b"SSND", 0, ">I", LONG), Scaled(b"COMM", 6, ">I", LONG)))],
    "au pcm_s16be": [("size doubled", (Scaled(b".snd", 4, ">I", LONG),))],
    "caf pcm_s16le": [("data size doubled", (Scaled(b"data", 0, ">q", LONG),))],
    "flac flac": [("samples doubled", (FlacSamples(LONG),))],
    "mp3 libmp3lame": [("count doubled", (Scaled(b"Info", 4, ">I", LONG), Scaled(b"Info", 8, ">I", LONG)))],
}
"""The header promises twice as much as there is: the rest is a gap."""

JUNK = ("noise", "zeros", "text", "id3")
JUNK_BEFORE = (
    "mp3 libmp3lame", "flac flac", "aac aac", "ogg libvorbis", "opus libopus", "ts aac", "ac3 ac3", "mp2 mp2",
)  # fmt: skip
JUNK_BEHIND = (*JUNK_BEFORE, "wav pcm_s16le", "m4a aac", "mka aac", "avi libmp3lame", "wma wmav2", "flv aac")
JUNK_BYTES = 4000

OVERWRITTEN = (
    "mp3 libmp3lame", "flac flac", "aac aac", "ogg libvorbis", "opus libopus", "ts aac", "ac3 ac3", "mp2 mp2",
    "m4a aac", "mka aac", "webm libopus", "avi libmp3lame", "wma wmav2", "flv aac", "mpg mp2", "mov alac",
    "mka flac", "mka libvorbis", "ts mp2", "mp4 in fragments aac", "webm live libopus",
)  # fmt: skip

COVERED = {
    "mp3 libmp3lame": ("-id3v2_version", "3"),
    "m4a aac": ("-disposition:v", "attached_pic"),
    "m4a alac": ("-disposition:v", "attached_pic"),
    "flac flac": ("-disposition:v", "attached_pic"),
    "wma wmav2": ("-disposition:v", "attached_pic"),
    "aiff pcm_s16be": ("-write_id3v2", "1"),
}


def header_files() -> Iterator[Recipe]:
    """Files whose header, or whose surroundings, mislead."""
    for name, lies in LIES.items():
        for lie, edits in lies:
            one = format_named(name)
            yield Recipe(f"{name}, {lie}", "sizes lie", one.encoding(), one.truth((WHOLE,), SECONDS), edits)
    for name, lies in PROMISES.items():
        for lie, edits in lies:
            one = format_named(name)
            truth = one.truth((WHOLE,), LONG * SECONDS, is_damaged=True)
            yield Recipe(f"{name}, {lie}", "promises more", one.encoding(), truth, edits)
    for name in JUNK_BEFORE:
        for kind in JUNK:
            yield _whole(name, f"{JUNK_BYTES} bytes of {kind} before", "junk in front", Prefixed(kind, JUNK_BYTES))
    yield _whole("wav pcm_s16le", "ID3 tag before", "junk in front", Prefixed("id3", 100_000))
    for name in JUNK_BEHIND:
        kind = JUNK[len(name) % 2]
        yield _whole(name, f"{JUNK_BYTES} bytes of {kind} behind", "junk behind", Followed(kind, JUNK_BYTES))
    for number, name in enumerate(OVERWRITTEN):
        one = format_named(name)
        edit = Overwritten(0.45, 0.65, is_noise=number % 2 == 0)
        truth = one.truth((WHOLE,), SECONDS, is_damaged=True)
        # No byte has moved: every packet behind the damage is where it was.
        truth = replace(truth, has_clock=truth.has_clock or one.container in {"m4a", "mov"})
        yield Recipe(f"{name}, {edit}", "overwritten inside", one.encoding(), truth, (edit,))
    for share in (0.3, 0.9, 0.99):
        for name in ("mp3 libmp3lame", "flac flac", "m4a aac", "mka aac", "wav pcm_s16le"):
            one = format_named(name)
            truth = one.truth((WHOLE,), SECONDS, is_damaged=True)
            yield Recipe(f"{name}, cut at {share:.0%}", "cut elsewhere", one.encoding(), truth, (Cut(share),))
    one = format_named("flac flac")
    truth = one.truth((WHOLE,), SECONDS, is_damaged=True)
    yield Recipe("flac, frames missing", "frames missing", one.encoding(), truth, (FramesRemoved(0.45, 0.65),))
    yield from _covers()


def _whole(name: str, what: str, kind: str, edit: Edit) -> Recipe:
    one = format_named(name)
    # Nobody can say whether noise was sound.
    truth = replace(one.truth((WHOLE,), SECONDS), may_have_gaps="noise" in what)
    return Recipe(f"{name}, {what}", kind, one.encoding(), truth, (edit,))


def _covers() -> Iterator[Recipe]:
    for name, options in COVERED.items():
        one = format_named(name)
        for is_broken in (False, True):
            encoding = _with_cover(one, options)
            # The middle is digital silence, which is no damage.
            spoken = (Spoken("A", 0.0, 4.0, 0.0), Spoken("A", 4.0, 8.0, 8.0))
            edits: tuple[Edit, ...] = (BrokenPicture(),) if is_broken else ()
            what = "a broken cover picture" if is_broken else "a cover picture"
            yield Recipe(f"{name}, {what}", "cover pictures", encoding, one.truth(spoken, SECONDS), edits)


def _with_cover(one: Format, options: tuple[str, ...]) -> Encoding:
    voices = (Voice("A", 0.0, 4.0), Voice("A", 4.0, 8.0, 8.0))
    sound = Sound(voices, SECONDS, 44_100)
    codec = ("-map", "0:a", "-map", "1:v", "-c:a", one.codec, "-c:v", "copy")
    return Encoding((sound, Still()), (*codec, *options, "-f", one.muxer), f".{one.suffix}")
