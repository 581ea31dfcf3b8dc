"""Files whose header is behind their content: the patches with which FFmpeg reads all of their sound.

A recorder writes sizes when it ends; where it dies, or where they have too few bits, FFmpeg stops at the stated end.
Where what follows there is no part of the container, the sound is read on. Formats that are not here either have no
such sizes or are read to their end by FFmpeg whatever they state: docs/formats.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from shared.formats.box_sizes import mp4_patches
from shared.formats.chunks import ReadableBytes
from shared.formats.cluster_sizes import EBML, matroska_patches
from shared.formats.edit_lists import edit_list_patches
from shared.formats.fragments import fragment_patches
from shared.formats.iff_sizes import aiff_patches, au_patches, caf_patches, voc_patches
from shared.formats.rifx import rifx_patches
from shared.formats.wave_sizes import wave_data

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_INDEXES = tuple(
    bytes.fromhex(guid)
    for guid in (
        "90080033b1e5cf1189f400a0c90349cb",
        "d329e2d6da35d111903400a0c90349be",
        "f803b1fead12644c840f2a1d2f7ad48c",
        "d03fb73c4a0c034ab23c13ac9bd59b0a",
    )
)
"""Objects that may stand behind the data object: simple index, index, media object index, timecode index."""


def header_patches(file: ReadableBytes, parts_within: int | None = None) -> dict[int, bytes]:
    """Offset -> bytes to be read there instead; empty where the header is right, or FFmpeg needs no help.

    `parts_within`: bytes from the start in which the many parts of a Matroska file, or of an MP4 in fragments, are
    looked at; None: everywhere.
    """
    head = file.read_at(0, 32)
    if head.startswith(EBML):
        return dict(matroska_patches(file, parts_within))
    if head[4:8] in _FIRST_BOXES:
        return {**mp4_patches(file), **fragment_patches(file, parts_within), **edit_list_patches(file)}
    for is_kind, patches in _KINDS:
        if is_kind(head):
            return dict(patches(file))
    return {}


def _wave_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    data = wave_data(file)
    return data.patches if data else {}


def _asf_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size of the data object; 0 stands for `to the end`."""
    (at,) = struct.unpack("<Q", file.read_at(16, 8).ljust(8, b"\0"))
    header = file.read_at(at, 24)
    if not header.startswith(_ASF_DATA) or len(header) < 24:
        return {}
    (size,) = struct.unpack_from("<Q", header, 16)
    room = file.size - at
    if size == 0 or size >= room or file.read_at(at + size, 16).startswith((*_ASF_INDEXES, _ASF_HEADER)):
        return {}
    return {at + 16: struct.pack("<Q", room)}


_FIRST_BOXES = frozenset({b"ftyp", b"mdat", b"wide", b"free", b"skip", b"styp", b"moov"})
_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[ReadableBytes], Mapping[int, bytes]]], ...] = (
    (lambda head: head.startswith(b"RIFX"), rifx_patches),
    (lambda head: head[8:12] == b"WAVE" or head.startswith(b"riff\x2e\x91\xcf\x11"), _wave_patches),
    (lambda head: head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"), aiff_patches),
    (lambda head: head.startswith(b"caff"), caf_patches),
    (lambda head: head.startswith(b".snd"), au_patches),
    (lambda head: head.startswith(b"Creative Voice File\x1a"), voc_patches),
    (lambda head: head.startswith(_ASF_HEADER), _asf_patches),
)
