"""What a made file consists of: sound with known content, what ffmpeg does to it, and what is then done to its bytes.

Recipes are data, so that a file is made once and kept under a hash of its recipe, and so that a report can say how to
make it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.media.tones import session_sound

VERSION = 2
"""Raise it where the same recipe makes another file than before."""

MAKING_SECONDS = 60.0
"""Longest that one ffmpeg command may take."""


class NotMade(Exception):
    """This ffmpeg does not write such a file."""


@dataclass(frozen=True)
class Voice:
    """Seconds [first, last) of a session on one channel, from second `at` on."""

    session: str
    first: float
    last: float
    at: float = 0.0
    channel: int = 0
    gain: float = 1.0
    """Negative: in opposite phase."""


@dataclass(frozen=True)
class Hum:
    """A 50 Hz tone with a peak of `level` on one channel, over all of the sound; negative: in opposite phase."""

    channel: int
    level: float


@dataclass(frozen=True)
class Sound:
    """An input of ffmpeg: samples at `rate` Hz in `channels` channels, silent where no voice is."""

    voices: tuple[Voice, ...]
    seconds: float
    rate: int = 16_000
    channels: int = 1
    layout: str | None = None
    """As ffmpeg names it; None: the one it takes for so many channels; `6C`: six channels that have none."""
    hums: tuple[Hum, ...] = ()
    before: tuple[str, ...] = ()
    """Options of this input."""

    def samples(self) -> NDArray[np.float32]:
        """Shape [T, channels]."""
        sound = np.zeros((round(self.seconds * self.rate), self.channels), np.float32)
        for voice in self.voices:
            part = voice.gain * session_sound(voice.session, voice.first, voice.last, self.rate)
            start = round(voice.at * self.rate)
            sound[start : start + len(part), voice.channel] += part
        for hum in self.hums:
            sound[:, hum.channel] += hum.level * np.sin(2 * np.pi * 50 / self.rate * np.arange(len(sound)))
        return sound


@dataclass(frozen=True)
class Picture:
    """An input of ffmpeg: a small moving test picture."""

    seconds: float
    size: str = "64x64"
    rate: int = 10
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Still:
    """An input of ffmpeg: one PNG picture; a broken one has noise in place of its pixels."""

    is_broken: bool = False
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoding:
    """One ffmpeg command: its inputs, and the options of its output."""

    inputs: tuple[Sound | Picture | Still, ...]
    options: tuple[str, ...]
    suffix: str


class Edit(Protocol):
    """What is done to a file's bytes."""

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """The bytes afterwards. Raises NotMade where it cannot be done."""
        ...


@dataclass(frozen=True)
class Spoken:
    """Seconds [first, last) of a session that are in a file, and where they stand on the listener's clock."""

    session: str
    first: float
    last: float
    at: float


@dataclass(frozen=True)
class Truth:
    """What is right for a file."""

    spoken: tuple[Spoken, ...]
    seconds: float
    """Length of the whole, before damage."""
    is_damaged: bool = False
    """Part of what was spoken is not in the file any more."""
    is_promised: bool = True
    """The file states its length, or the place of what follows: what is missing can be known."""
    has_clock: bool = True
    """The container carries times: behind a damaged stretch words stand where they stood."""
    may_refuse: bool = False
    """Few would send it: it is read, or refused with the true reason."""
    must_refuse: bool = False
    """Nothing in the file says what it is."""
    slack_seconds: float = 0.0
    """By so much later may the rest stand, as the first session's last codec frame, or block, is filled up."""
    may_have_gaps: bool = False
    """A gap is no false alarm, though all that was spoken is there."""
    track: int = 0
    """Audio track that is right, for the independent decoder."""
    peer_channels: tuple[int, ...] = (0,)
    """Channels of it with sound, for the independent decoder's mix."""


@dataclass(frozen=True)
class Recipe:
    """One file of the benchmark."""

    name: str
    kind: str
    encoding: Encoding
    truth: Truth
    edits: tuple[Edit, ...] = ()

    @property
    def key(self) -> str:
        """Names the made file."""
        return _hash((self.encoding, self.edits))

    def description(self) -> str:
        """How the file is made, in words and an ffmpeg command."""
        said = [command_text(self.encoding), *(str(edit) for edit in self.edits)]
        return "; then ".join(said)


@dataclass(frozen=True)
class Workshop:
    """A folder in which files are made and kept."""

    folder: Path
    ffmpeg: str
    made: dict[str, Path] = field(default_factory=dict, compare=False, repr=False)

    def file(self, recipe: Recipe) -> Path:
        """The recipe's file. Raises NotMade."""
        path = self.folder / f"{recipe.key}{recipe.encoding.suffix}"
        if path.exists():
            return path
        data = self.encoded(recipe.encoding)
        for edit in recipe.edits:
            data = edit.apply(data, self)
        _write(path, data)
        return path

    def encoded(self, encoding: Encoding) -> bytes:
        """What ffmpeg writes. Raises NotMade."""
        key = _hash(encoding)
        path = self.folder / f"{key}{encoding.suffix}"
        refused = self.folder / f"{key}.refused"
        if refused.exists():
            raise NotMade(refused.read_text())
        if not path.exists():
            partial = self.folder / f"{key}.{_one_of_a_kind()}{encoding.suffix}"
            command = [self.ffmpeg, "-v", "error", "-nostdin", "-y", "-threads", "1"]
            for source in encoding.inputs:
                command += self._input(source)
            command += [*encoding.options, str(partial)]
            try:
                ran = subprocess.run(command, capture_output=True, timeout=MAKING_SECONDS, check=False)
                if ran.returncode or not partial.exists() or not partial.stat().st_size:
                    lines = ran.stderr.decode(errors="replace").strip().splitlines()
                    reason = next((line for line in lines if line), f"exit status {ran.returncode}")
                    _write(refused, reason.encode())
                    raise NotMade(reason)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path.read_bytes()

    def _input(self, source: Sound | Picture | Still) -> list[str]:
        match source:
            case Sound():
                layout = ["-channel_layout", source.layout] if source.layout else []
                form = ["-f", "f32le", "-ar", str(source.rate), "-ac", str(source.channels), *layout]
                return [*source.before, *form, "-i", str(self._kept(source, ".f32"))]
            case Picture():
                picture = f"testsrc=size={source.size}:rate={source.rate}:duration={source.seconds}"
                return [*source.before, "-f", "lavfi", "-i", picture]
            case Still():
                return [*source.before, "-i", str(self._kept(source, ".png"))]

    def _kept(self, source: Sound | Still, suffix: str) -> Path:
        path = self.folder / f"{_hash(source)}{suffix}"
        if not path.exists():
            _write(path, source.samples().tobytes() if isinstance(source, Sound) else self._png())
        return path

    def _png(self) -> bytes:
        command = [self.ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x160:duration=1:rate=1"]
        form = ["-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "pipe:1"]
        return subprocess.run([*command, *form], capture_output=True, check=True).stdout


def command_text(encoding: Encoding) -> str:
    """The ffmpeg command, its sounds in words."""
    said = []
    for source in encoding.inputs:
        before = " ".join(source.before)
        match source:
            case Sound():
                form = f"{source.seconds:g}s {source.rate} Hz {source.layout or source.channels}"
                said.append(f"{before} -i tones({form})".strip())
            case Picture():
                said.append(f"{before} -f lavfi -i testsrc=s={source.size}:d={source.seconds:g}".strip())
            case Still():
                said.append(f"{before} -i picture.png".strip())
    return f"ffmpeg {' '.join(said)} {' '.join(encoding.options)} a{encoding.suffix}"


def _hash(recipe: object) -> str:
    return hashlib.sha256(f"{VERSION} {_named(recipe)}".encode()).hexdigest()[:20]


def _named(value: object) -> str:
    """Like repr(), with the names of classes and fields, so that no two recipes look alike."""
    if is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{one.name}={_named(getattr(value, one.name))}" for one in fields(value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_named, value))})"
    return repr(value)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(f".{_one_of_a_kind()}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def _one_of_a_kind() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"
