"""Timestamps that start late, pause, jump or begin again, edit lists, and formats that change on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.media.edits import Appended, Patched
from benchmarks.media.format_table import format_named
from benchmarks.media.formats import BEHIND, SECOND, SECONDS, WHOLE, Format
from benchmarks.media.recipes import Encoding, Picture, Recipe, Spoken, Voice

OFFSET_SECONDS = (0.5, 10.0, 3600.0)
STARTS_LATE = (
    "mka aac", "webm libopus", "mkv aac", "ogg libvorbis", "opus libopus", "ts aac", "ts mp2",
    "ts with a picture aac", "mpg mp2", "flv aac", "wma wmav2", "nut aac", "webm live libopus",
)  # fmt: skip
AFTER_PICTURE = (
    "mkv aac", "mp4 with a picture aac", "webm with a picture libopus", "ts with a picture aac", "avi libmp3lame",
    "flv with a picture aac", "wmv wmav2", "mpg mp2", "vob ac3", "ogv libvorbis",
)  # fmt: skip
EMPTY_EDITS = ("m4a aac", "m4a alac", "mov pcm_s16le", "mp4 libopus", "mp4 flac", "3gp libopencore_amrnb")

PAUSE_AT, PAUSE_SECONDS = 6.0, (60.0, 900.0)
PAUSES = (
    "webm libopus", "mka aac", "mka libvorbis", "mka pcm_s16le", "mka flac", "mp4 libopus", "m4a aac", "m4a alac",
    "ogg libvorbis", "opus libopus", "flv aac", "wma wmav2", "nut aac", "webm live libopus",
    "mp4 in fragments aac", "mkv aac",
)  # fmt: skip
SOUND_PAUSES = (
    "mkv aac", "mp4 with a picture aac", "webm with a picture libopus", "ts with a picture aac",
    "ts with a picture mp2", "flv with a picture aac", "wmv wmav2", "mpg mp2", "vob ac3",
)  # fmt: skip
"""Those whose picture goes on while the sound is muted."""

JUMP_SECONDS = (60.0, 36_000.0)
"""Of a whole transport stream: ffmpeg and players join the sound where all streams jump by more than 10 s."""
WRAP_AT = 2**33 / 90_000
"""Seconds after which MPEG's clock begins again."""

CHANGES = (
    "mp3 libmp3lame", "mp3 without a count libmp3lame", "mp2 mp2", "aac aac", "ac3 ac3", "eac3 eac3", "latm aac",
    "ogg libvorbis", "ogg flac", "flac flac", "mka aac", "webm libvorbis", "wav pcm_s16le", "ts aac", "ts mp2",
    "ts ac3", "mpg mp2", "flv libmp3lame", "caf pcm_s16le", "nut libmp3lame",
)  # fmt: skip
"""Formats whose second session has another rate, or other channels."""
CHANNEL_CHANGES = (*CHANGES[:14], "opus libopus", "webm libopus")


def clock_files() -> Iterator[Recipe]:
    """Files whose clock does something."""
    yield from _late_starts()
    yield from _edit_lists()
    for seconds in PAUSE_SECONDS:
        for name in PAUSES:
            one = format_named(name)
            what = f"a pause of {seconds:g} s"
            spoken = (Spoken("A", 0.0, PAUSE_AT, 0.0), Spoken("A", PAUSE_AT, SECONDS, PAUSE_AT + seconds))
            truth = one.truth(spoken, SECONDS + seconds)
            yield Recipe(f"{name}, {what}", "pauses", _shifted_from(one, PAUSE_AT, seconds), truth)
    for name in SOUND_PAUSES:
        one = format_named(name)
        seconds = PAUSE_SECONDS[0]
        spoken = (Spoken("A", 0.0, PAUSE_AT, 0.0), Spoken("A", PAUSE_AT, SECONDS, PAUSE_AT + seconds))
        paused = _shifted_from(replace(one, picture=()), PAUSE_AT, seconds).options[:2]
        encoding = _with_options(one.encoding(), *paused)
        inputs = (encoding.inputs[0], Picture(SECONDS + seconds, one.size, 25))
        truth = one.truth(spoken, SECONDS + seconds)
        what = f"muted for {seconds:g} s while the picture goes on"
        yield Recipe(f"{name}, {what}", "pauses", replace(encoding, inputs=inputs), truth)
    for name in ("ts aac", "ts mp2", "ts with a picture aac", "mpg mp2"):
        one = format_named(name)
        truth = one.truth((WHOLE,), SECONDS)
        for seconds in JUMP_SECONDS:
            jumped = _shifted_from(one, PAUSE_AT, seconds)
            yield Recipe(f"{name}, the clock jumps {seconds:g} s", "clock jumps", jumped, truth)
        wrapped = _with_options(one.encoding(), "-output_ts_offset", f"{WRAP_AT - PAUSE_AT:.3f}")
        yield Recipe(f"{name}, the clock wraps", "clock jumps", wrapped, truth)
        back = Appended(_with_options(one.encoding("B", SECOND), "-output_ts_offset", "20"))
        early = _with_options(one.encoding(), "-output_ts_offset", "1000")
        truth = one.truth((WHOLE, BEHIND), SECONDS + SECOND)
        yield Recipe(f"{name}, the clock goes back 980 s", "clock jumps", early, truth, (back,))
    yield from _changes()


def _late_starts() -> Iterator[Recipe]:
    for number, name in enumerate(STARTS_LATE):
        one = format_named(name)
        for seconds in (OFFSET_SECONDS[number % 2], OFFSET_SECONDS[2]):
            late = _with_options(one.encoding(), "-output_ts_offset", str(seconds))
            what = f"starts at {seconds:g} s"
            yield Recipe(f"{name}, {what}", "start offsets", late, one.truth((WHOLE,), SECONDS))
    for name in AFTER_PICTURE:
        one = format_named(name)
        truth = one.truth((replace(WHOLE, at=2.0),), SECONDS + 2.0)
        if one.container != "avi":  # it counts frames and has no place for a late start
            yield Recipe(f"{name}, sound 2 s behind the picture", "start offsets", _late_sound(one, 2), truth)
        encoding = one.encoding()
        picture = replace(encoding.inputs[1], before=("-itsoffset", "2"))
        late = replace(encoding, inputs=(encoding.inputs[0], picture))
        what = "picture 2 s behind the sound"
        yield Recipe(f"{name}, {what}", "start offsets", late, one.truth((WHOLE,), SECONDS))


def _late_sound(one: Format, seconds: int) -> Encoding:
    # -itsoffset does nothing for raw samples.
    return _with_options(one.encoding(), "-bsf:a", f"setts=ts=TS+{seconds}/TB")


def _edit_lists() -> Iterator[Recipe]:
    for name in EMPTY_EDITS:
        one = format_named(name)
        truth = one.truth((replace(WHOLE, at=5.0),), SECONDS + 5.0)
        yield Recipe(f"{name}, an empty edit of 5 s", "edit lists", _late_sound(one, 5), truth)
    one = format_named("m4a aac")
    start = 3
    # Duration in milliseconds, then the first sample, behind the encoder's delay.
    edit = int((SECONDS - start) * 1000).to_bytes(4) + (1024 + start * 44_100).to_bytes(4)
    skipped = Patched(b"elst", 8, edit)
    truth = one.truth((Spoken("A", start, SECONDS, 0.0),), SECONDS - start)
    encoding = _with_options(one.encoding(), "-movie_timescale", "1000")
    yield Recipe("m4a aac, an edit that skips 3 s", "edit lists", encoding, truth, (skipped,))


def _changes() -> Iterator[Recipe]:
    for name in CHANGES:
        one = format_named(name)
        other = replace(one, rate=32_000 if one.codec in {"ac3", "eac3"} else 48_000 if one.rate != 48_000 else 24_000)
        yield _changed(one, other.encoding("B", SECOND), "another rate")
    for name in CHANNEL_CHANGES:
        one = format_named(name)
        encoding = one.encoding("B", SECOND)
        voices = tuple(Voice("B", 0.0, SECOND, channel=number) for number in range(2))
        stereo = replace(one.sound("B", SECOND), voices=voices, channels=2)
        yield _changed(one, replace(encoding, inputs=(stereo, *encoding.inputs[1:])), "stereo")


def _changed(one: Format, second: Encoding, what: str) -> Recipe:
    truth = one.truth((WHOLE, BEHIND), SECONDS + SECOND)
    return Recipe(f"{one.name}, then {what}", "format changes", one.encoding(), truth, (Appended(second),))


def _with_options(encoding: Encoding, *options: str) -> Encoding:
    return replace(encoding, options=(*options, *encoding.options))


def _shifted_from(one: Format, at: float, seconds: float) -> Encoding:
    """All packets from a time on are later, the picture's, too."""
    shift = f"setts=ts=TS+gte(TS*TB\\,{at - 0.02:g})*{seconds:g}/TB"
    options = ["-bsf:a", shift]
    if one.container == "ogg":  # a page has one time: none may lie on both sides of the pause
        options += ["-page_duration", "1000"]
    if one.picture:
        options += ["-bsf:v", shift]
    return _with_options(one.encoding(), *options)
