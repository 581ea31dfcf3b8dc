"""Every container and codec that this ffmpeg can write, and what is known of each without decoding it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.media.recipes import Encoding, Picture, Sound, Spoken, Truth, Voice

RATES = {
    "adpcm_argo": 22050, "adpcm_ima_alp": 22050, "adpcm_ima_amv": 22050, "adpcm_ima_apm": 22050,
    "adpcm_ima_ssi": 22050, "adpcm_ima_ws": 22050, "adpcm_swf": 22050, "ac3": 48000, "ac3_fixed": 48000,
    "dca": 48000, "eac3": 48000, "g723_1": 8000, "g726": 8000, "g726le": 8000, "libopencore_amrnb": 8000,
    "libopus": 48000, "mlp": 48000, "nellymoser": 22050, "opus": 48000, "pcm_bluray": 48000, "pcm_dvd": 48000,
    "pcm_s24daud": 96000, "real_144": 8000, "roq_dpcm": 22050, "s302m": 48000, "truehd": 48000, "aptx": 48000,
    "aptx_hd": 48000, "libmp3lame": 44100, "aac": 44100, "libvorbis": 44100, "vorbis": 44100, "alac": 44100,
    "wmav1": 44100, "wmav2": 44100, "mp2": 44100, "mp2fixed": 44100, "libtwolame": 44100, "sbc": 44100,
    "pcm_alaw": 8000, "pcm_mulaw": 8000, "dfpwm": 48000,
}  # fmt: skip
"""Hz; of all others 16,000."""

CHANNELS = {
    "aptx": 2, "aptx_hd": 2, "vorbis": 2, "pcm_s24daud": 6, "s302m": 2, "truehd": 2, "mlp": 2, "pcm_dvd": 2,
    "pcm_bluray": 2, "opus": 2, "dca": 2,
}  # fmt: skip
"""Of all others one."""

EXPERIMENTAL = frozenset({"dca", "mlp", "opus", "s302m", "truehd", "vorbis"})

SECONDS = 12.0
"""Length of the first session in every file of a container and codec; of the second one, SECOND."""
SECOND = 8.0
SESSION_SLACK_SECONDS = 0.25
"""Longest codec frame or block here: ADPCM at 16 kHz."""

WHOLE = Spoken("A", 0.0, SECONDS, 0.0)
"""The first session, from the beginning on."""
BEHIND = Spoken("B", 0.0, SECOND, SECONDS)
"""The second one behind it."""


@dataclass(frozen=True)
class Behaviour:
    """What a damaged file of a container can still say."""

    is_promised: bool
    """A file that is cut states how long it should be."""
    has_clock: bool
    """Packets carry times, or places: behind missing ones nothing moves."""


COUNTED = Behaviour(is_promised=True, has_clock=False)
"""The header states how many samples there are; what is missing inside lets the rest move up."""
TIMED = Behaviour(is_promised=True, has_clock=True)
INDEXED = Behaviour(is_promised=True, has_clock=False)
"""A table says at which byte each frame begins: behind missing ones all are somewhere else."""
LIVE = Behaviour(is_promised=False, has_clock=True)
"""Times, but no length: made to be written as it comes."""
BARE = Behaviour(is_promised=False, has_clock=False)
"""One codec frame after the other, and nothing else."""


@dataclass(frozen=True)
class Format:
    """A container with a codec, and how a file of it behaves."""

    container: str
    codec: str
    suffix: str
    muxer: str
    behaviour: Behaviour
    is_rare: bool = False
    """Few would upload such a file: it may be refused with the true reason."""
    is_headerless: bool = False
    """Nothing but samples: no program can know what it is."""
    is_cut_readable: bool = True
    """False: the index stands at the end, and without it nothing can be read."""
    picture: tuple[str, ...] = ()
    """Options of the video that the container wants beside the sound."""
    options: tuple[str, ...] = ()
    is_picture_first: bool = False
    size: str = "64x64"
    rate: int = 0
    """Hz; 0: as RATES says."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.container} {self.codec}"

    def truth(self, spoken: tuple[Spoken, ...], seconds: float, *, is_damaged: bool = False) -> Truth:
        """What is right for a file of this format."""
        return Truth(
            spoken,
            seconds,
            is_damaged=is_damaged,
            is_promised=self.behaviour.is_promised,
            has_clock=self.behaviour.has_clock,
            slack_seconds=SESSION_SLACK_SECONDS if len(spoken) > 1 else 0.0,
            may_refuse=self.is_rare,
            must_refuse=self.is_headerless,
        )

    def sound(self, session: str, seconds: float) -> Sound:
        """A session from its first second on, on every channel."""
        channels = 2 if self.container == "dv" else CHANNELS.get(self.codec, 1)
        voices = tuple(Voice(session, 0.0, seconds, channel=number) for number in range(channels))
        return Sound(voices, seconds, self.rate or RATES.get(self.codec, 16_000), channels)

    def encoding(self, session: str = "A", seconds: float = SECONDS) -> Encoding:
        """A file with this session."""
        inputs: tuple[Sound | Picture, ...] = (self.sound(session, seconds),)
        picture: tuple[str, ...] = ("-vn",)
        if self.picture:
            inputs = (*inputs, Picture(seconds, self.size, 25))
            maps = ("-map", "1:v", "-map", "0:a") if self.is_picture_first else ("-map", "0:a", "-map", "1:v")
            picture = (*maps, *self.picture)
        strict = ("-strict", "-2") if self.codec in EXPERIMENTAL or self.muxer in {"mp4", "mov"} else ()
        return Encoding(
            inputs, (*picture, "-c:a", self.codec, *strict, *self.options, "-f", self.muxer), f".{self.suffix}"
        )


def family(
    container: str,
    codecs: str,
    suffix: str,
    muxer: str = "",
    *,
    behaviour: Behaviour,
    is_rare: bool = False,
    is_headerless: bool = False,
    is_cut_readable: bool = True,
    picture: tuple[str, ...] = (),
    is_picture_first: bool = False,
    size: str = "64x64",
    options: tuple[str, ...] = (),
) -> list[Format]:
    """The container with each of these codecs; `codec@rate` says at how many Hz."""
    return [
        Format(
            container=container,
            codec=codec.partition("@")[0],
            rate=int(codec.partition("@")[2] or 0),
            suffix=suffix,
            muxer=muxer or container,
            behaviour=behaviour,
            is_rare=is_rare,
            is_headerless=is_headerless,
            is_cut_readable=is_cut_readable,
            picture=picture,
            is_picture_first=is_picture_first,
            size=size,
            options=options,
        )
        for codec in codecs.split()
    ]
