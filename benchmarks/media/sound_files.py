"""What is on the tracks and channels: several tracks, all layouts and none, opposite phase, longer pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.media.edits import WithoutPid
from benchmarks.media.format_table import format_named
from benchmarks.media.formats import SECONDS, WHOLE
from benchmarks.media.recipes import Encoding, Hum, Picture, Recipe, Sound, Spoken, Voice

TRACKS = ("mka aac", "mkv libopus", "mp4 aac", "m4a aac", "mov pcm_s16le", "webm libopus", "mka flac", "mka libmp3lame")
"""Containers with a flag for the track that is played by default."""
FLAGLESS_TRACKS = ("ts aac", "ts mp2", "avi libmp3lame", "ogg libvorbis", "wma wmav2", "mpg mp2", "nut aac")

COUNTS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 20, 24, 32, 48, 60, 64)
LAYOUTLESS = ("wav pcm_s16le", "mka pcm_s16le", "caf pcm_s16le", "aiff pcm_s16be", "au pcm_s16be", "mov pcm_s16le")

LAYOUTS = (
    "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0", "5.0(side)", "4.1", "5.1",
    "5.1(side)", "6.0", "6.0(front)", "hexagonal", "6.1", "6.1(back)", "6.1(front)", "7.0", "7.0(front)", "7.1",
    "7.1(wide)", "octagonal", "cube", "hexadecagonal", "downmix", "22.2",
)  # fmt: skip
LAYOUT_CHANNELS = {
    "stereo": 2, "downmix": 2, "2.1": 3, "3.0": 3, "3.0(back)": 3, "4.0": 4, "quad": 4, "quad(side)": 4, "3.1": 4,
    "5.0": 5, "5.0(side)": 5, "4.1": 5, "5.1": 6, "5.1(side)": 6, "6.0": 6, "6.0(front)": 6, "hexagonal": 6,
    "6.1": 7, "6.1(back)": 7, "6.1(front)": 7, "7.0": 7, "7.0(front)": 7, "7.1": 8, "7.1(wide)": 8, "octagonal": 8,
    "cube": 8, "hexadecagonal": 16, "22.2": 24,
}  # fmt: skip
LFE = 3
"""Of 5.1 and 7.1, in ffmpeg's order: for codecs that keep nothing of its higher tones."""
CODEC_LAYOUTS = {
    "flac flac": ("5.1", "7.1", "quad"), "m4a aac": ("5.1", "7.1", "4.0"), "ac3 ac3": ("5.1(side)", "quad"),
    "eac3 eac3": ("5.1(side)", "3.0"), "opus libopus": ("5.1", "7.1", "quad"), "ogg libvorbis": ("5.1", "7.1", "3.0"),
    "dts dca": ("5.1(side)",), "m4a alac": ("5.1", "7.1(wide)"), "mka truehd": ("5.1(side)",),
    "mka wavpack": ("5.1", "7.1"), "tta tta": ("5.1",), "aac aac": ("5.1", "7.1"), "ts aac": ("5.1",),
    "mka eac3": ("5.1(side)",), "mov pcm_s16le": ("5.1", "7.1"), "mka flac": ("5.1", "7.1"),
}  # fmt: skip
WITHOUT_LFE = frozenset({"aac", "ac3", "eac3", "libopus", "libvorbis", "dca"})

PHASE_CODECS = ("wav pcm_s16le", "flac flac", "mp3 libmp3lame", "m4a aac", "opus libopus", "ogg libvorbis", "mka ac3")

LONGER_PICTURE = (
    "mp4 with a picture aac", "mkv aac", "mkv libopus", "webm with a picture libopus", "avi libmp3lame",
    "avi pcm_s16le", "ts with a picture aac", "ts with a picture mp2", "flv with a picture aac", "wmv wmav2",
    "ogv libvorbis", "mpg mp2", "vob ac3",
)  # fmt: skip
PICTURE_SECONDS = 40.0


def sound_files() -> Iterator[Recipe]:
    """Files whose sound is where it is easily missed."""
    yield from _tracks()
    yield from _layouts()
    yield from _phases()
    for name in LONGER_PICTURE:
        one = format_named(name)
        encoding = one.encoding()
        inputs = (encoding.inputs[0], Picture(PICTURE_SECONDS, one.size, 25))
        truth = one.truth((WHOLE,), SECONDS)
        longer = replace(encoding, inputs=inputs)
        yield Recipe(f"{name}, a picture of 40 s", "picture is longer", longer, truth)
    for name in ("ts with a picture aac", "ts with a picture mp2"):
        one = format_named(name)
        truth = one.truth((WHOLE,), SECONDS)
        # ffmpeg numbers streams from 0x100 on, in the order of their maps: the sound comes first.
        absent = (WithoutPid(0x101),)
        yield Recipe(f"{name}, which never comes", "picture is absent", one.encoding(), truth, absent)


def _tracks() -> Iterator[Recipe]:
    for name in TRACKS:
        default = ("-disposition:a:0", "0", "-disposition:a:1", "default")
        yield _two_tracks(name, "the second is the default", ("A", "B"), 1, default)
        yield _two_tracks(name, "the first is silent", ("", "B"), 1, ("-disposition:a", "0"))
        yield _two_tracks(name, "the first is silent and the default", ("", "B"), 1, ("-disposition:a:0", "default"))
        yield _two_tracks(name, "the first is the default", ("A", "B"), 0, ("-disposition:a:0", "default"))
    for name in FLAGLESS_TRACKS:
        yield _two_tracks(name, "no default", ("A", "B"), 0, ())
        yield _two_tracks(name, "the first is silent", ("", "B"), 1, ())


def _two_tracks(name: str, what: str, sessions: tuple[str, str], right: int, options: tuple[str, ...]) -> Recipe:
    one = format_named(name)
    encoding = one.encoding()
    sounds = [
        one.sound(session, SECONDS) if session else replace(one.sound("A", SECONDS), voices=()) for session in sessions
    ]
    pictures = tuple(source for source in encoding.inputs if isinstance(source, Picture))
    maps = ["-map", "0:a", "-map", "1:a", *(["-map", "2:v"] if pictures else [])]
    kept = encoding.options[4 if pictures else 1 :]
    truth = one.truth((replace(WHOLE, session=sessions[right]),), SECONDS)
    made = Encoding((*sounds, *pictures), (*maps, *options, *kept), encoding.suffix)
    return Recipe(f"{name}, two tracks, {what}", "several tracks", made, replace(truth, track=right))


def _layouts() -> Iterator[Recipe]:
    for number, count in enumerate(COUNTS):
        for name in (LAYOUTLESS[0], LAYOUTLESS[1 + number % (len(LAYOUTLESS) - 1)]):
            one = format_named(name)
            channel = count - 1 if number % 2 else count // 2
            sound = Sound((Voice("A", 0.0, SECONDS, channel=channel),), SECONDS, 16_000, count, f"{count}C")
            truth = replace(one.truth((WHOLE,), SECONDS), peer_channels=(channel,))
            encoding = replace(one.encoding(), inputs=(sound,))
            what = f"{count} channels without a layout, voice on {channel + 1}"
            yield Recipe(f"{name}, {what}", "no layout", encoding, truth)
    for layout in LAYOUTS:
        yield _each_channel("wav pcm_s16le", layout)
    for name, layouts in CODEC_LAYOUTS.items():
        for layout in layouts:
            yield _each_channel(name, layout)


def _each_channel(name: str, layout: str) -> Recipe:
    """Every channel speaks for two seconds, one after the other."""
    one = format_named(name)
    count = LAYOUT_CHANNELS[layout]
    mute = LFE if one.codec in WITHOUT_LFE and ".1" in layout else None
    speaking = [channel for channel in range(count) if channel != mute]
    voices = tuple(Voice("A", 2.0 * c, 2.0 * c + 2.0, 2.0 * c, c) for c in speaking)
    rate = one.sound("A", 1.0).rate
    sound = Sound(voices, 2.0 * count, rate, count, layout)
    spoken = tuple(Spoken("A", 2.0 * c, 2.0 * c + 2.0, 2.0 * c) for c in speaking)
    truth = replace(one.truth(spoken, 2.0 * count), peer_channels=tuple(range(count)))
    return Recipe(f"{name}, {layout}, each channel", "layouts", replace(one.encoding(), inputs=(sound,)), truth)


def _phases() -> Iterator[Recipe]:
    for name in PHASE_CODECS:
        opposite = _opposite("A", 0.0, SECONDS)
        yield _phased(name, "all in opposite phase", opposite, (WHOLE,), SECONDS)
        behind = (Spoken("A", 0.0, SECONDS, 31.0),)
        yield _phased(name, "after 31 s of silence", _opposite("A", 0.0, SECONDS, 31.0), behind, 31.0 + SECONDS)
        jingle = (*_both("C", 0.0, 2.0), *_opposite("A", 0.0, SECONDS, 2.0))
        spoken = (Spoken("C", 0.0, 2.0, 0.0), Spoken("A", 0.0, SECONDS, 2.0))
        yield _phased(name, "after a jingle in phase", jingle, spoken, 2.0 + SECONDS)
        turned = (*_opposite("A", 0.0, 6.0), *_both("A", 6.0, SECONDS, 6.0))
        yield _phased(name, "then in phase", turned, (WHOLE,), SECONDS)
    call = (Voice("A", 0.0, 6.0, 31.0), Voice("B", 0.0, 6.0, 37.0, 1))
    hums = (Hum(0, 1 / 32768), Hum(1, -1 / 32768))
    for name in ("wav pcm_s16le", "flac flac", "mka pcm_s16le"):
        spoken = (Spoken("A", 0.0, 6.0, 31.0), Spoken("B", 0.0, 6.0, 37.0))
        yield _phased(name, "hum of one bit in opposite phase, then a call", call, spoken, 31.0 + SECONDS, hums)
        both = (Voice("A", 0.0, SECONDS), Voice("B", 0.0, SECONDS, channel=1))
        talk = (WHOLE, replace(WHOLE, session="B"))
        yield _phased(name, "two people at once", both, talk, SECONDS)
    for layout, pairs in {"quad": ((0, 1), (2, 3)), "5.1": ((0, 1),), "4C": ((0, 2), (1, 3))}.items():
        count = LAYOUT_CHANNELS.get(layout, 4)
        voices = tuple(
            Voice("A", 0.0, SECONDS, channel=channel, gain=gain)
            for pair in pairs
            for channel, gain in zip(pair, (1.0, -1.0), strict=True)
        )
        sound = Sound(voices, SECONDS, 48_000, count, layout)
        for name in ("wav pcm_s16le", "mka flac"):
            one = format_named(name)
            encoding = replace(one.encoding(), inputs=(sound,))
            what = f"{layout} in opposite phase"
            yield Recipe(f"{name}, {what}", "opposite phase", encoding, one.truth((WHOLE,), SECONDS))


def _phased(
    name: str,
    what: str,
    voices: tuple[Voice, ...],
    spoken: tuple[Spoken, ...],
    seconds: float,
    hums: tuple[Hum, ...] = (),
) -> Recipe:
    one = format_named(name)
    sound = Sound(voices, seconds, one.sound("A", 1.0).rate, 2, hums=hums)
    channels = (0, 1) if len({voice.channel for voice in voices if voice.session == "B"}) else (0,)
    truth = replace(one.truth(spoken, seconds), peer_channels=channels)
    return Recipe(f"{name}, {what}", "opposite phase", replace(one.encoding(), inputs=(sound,)), truth)


def _opposite(session: str, first: float, last: float, at: float = 0.0) -> tuple[Voice, ...]:
    return tuple(Voice(session, first, last, at, channel, gain) for channel, gain in enumerate((1.0, -1.0)))


def _both(session: str, first: float, last: float, at: float = 0.0) -> tuple[Voice, ...]:
    return tuple(Voice(session, first, last, at, channel) for channel in range(2))
