"""What the windows of a part of a recording found, as bytes: for who tells the speakers of all parts apart. Pure.

A window takes 2.9 kB and each of its pieces 0.8, before zlib, which leaves a fifth of the former and nearly all of the
latter (docs/benchmarks.md).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAMES, LOCAL_SPEAKERS
from gpu_job.speakers.voices import VOICE_MODEL
from gpu_job.speakers.windows import Piece, SpeakerWindow, starts_of

WINDOWS_VERSION = f"{VOICE_MODEL}/windows/1"
"""What hears them, and how they are stored. Those of another version are heard anew."""

_FORMATS: dict[str, tuple[type, tuple[int, ...]]] = {
    "starts": (np.int64, ()),
    "sets": (np.uint8, (FRAMES,)),
    "levels": (np.int8, (FRAMES,)),
    "alone": (np.int8, (FRAMES, LOCAL_SPEAKERS)),
    "pieces": (np.int32, (4,)),
    "embeddings": (np.float32, (EMBEDDING_SIZE,)),
    "over_others": (np.int32, (2,)),
    "over_others_embeddings": (np.float32, (EMBEDDING_SIZE,)),
}
"""Arrays, one row each: of a window the first four; of a piece its window, first and last frame, and whether it is
doubtful; of a person who is hardly alone the window, and which of its people that is."""

_TOGETHER = (
    ("starts", "sets", "levels", "alone"),
    ("pieces", "embeddings"),
    ("over_others", "over_others_embeddings"),
)
"""Arrays of as many rows."""


def packed_windows(windows: Sequence[SpeakerWindow]) -> bytes:
    """Windows in time order, to the last bit."""
    pieces = [(at, piece) for at, window in enumerate(windows) for piece in window.pieces]
    voices = [
        (at, person, voice)
        for at, window in enumerate(windows)
        for person, voice in enumerate(window.over_others)
        if voice is not None
    ]
    rows: dict[str, list[object]] = {
        "starts": [window.start for window in windows],
        "sets": [window.sets for window in windows],
        "levels": [window.levels for window in windows],
        "alone": [window.alone for window in windows],
        "pieces": [(at, piece.first, piece.stop, piece.is_doubtful) for at, piece in pieces],
        "embeddings": [piece.embedding for _, piece in pieces],
        "over_others": [(at, person) for at, person, _ in voices],
        "over_others_embeddings": [voice for _, _, voice in voices],
    }
    arrays: dict[str, NDArray[np.generic]] = {
        name: np.array(rows[name], kind).reshape(len(rows[name]), *shape) for name, (kind, shape) in _FORMATS.items()
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, version=np.array(WINDOWS_VERSION), **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def unpacked_windows(parts: Iterable[bytes], end: int) -> list[SpeakerWindow]:
    """What all parts of a recording of `end` samples heard, in order -> its windows. Raises ValueError where these are
    not all of them, and for what `packed_windows` does not write."""
    windows = [window for part in parts for window in _windows(_arrays(part))]
    if [window.start for window in windows] != starts_of(end):
        raise ValueError("windows are missing, or of another recording")
    return windows


def _arrays(packed: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
            version = str(stored["version"])
            if version != WINDOWS_VERSION:
                raise ValueError(f"windows of another version: {version}")
            arrays = {name: stored[name] for name in _FORMATS}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError) as error:
        raise ValueError(f"no windows: {error}") from error
    for name, (kind, shape) in _FORMATS.items():
        if arrays[name].dtype != kind or arrays[name].shape[1:] != shape:
            raise ValueError(f"windows of another shape: {name}")
    for together in _TOGETHER:
        if len({len(arrays[name]) for name in together}) > 1:
            raise ValueError(f"windows of other lengths: {', '.join(together)}")
    return arrays


def _windows(arrays: dict[str, NDArray[np.generic]]) -> Iterator[SpeakerWindow]:
    count = len(arrays["starts"])
    pieces: list[list[Piece]] = [[] for _ in range(count)]
    voices: list[list[NDArray[np.float32] | None]] = [[None] * LOCAL_SPEAKERS for _ in range(count)]
    try:
        for (at, first, stop, is_doubtful), embedding in zip(
            arrays["pieces"].tolist(), arrays["embeddings"], strict=True
        ):
            pieces[at].append(Piece(first, stop, embedding, bool(is_doubtful)))
        for (at, person), embedding in zip(
            arrays["over_others"].tolist(), arrays["over_others_embeddings"], strict=True
        ):
            voices[at][person] = embedding
    except IndexError as error:
        raise ValueError("pieces of other windows") from error
    rows = zip(arrays["starts"].tolist(), arrays["sets"], arrays["levels"], arrays["alone"], strict=True)
    for at, (start, sets, levels, alone) in enumerate(rows):
        yield SpeakerWindow(start, sets, tuple(pieces[at]), tuple(voices[at]), levels, alone)
