"""Sizes in the headers of AIFF, CAF, AU and VOC files that are behind, and the patches that correct them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from shared.formats.chunks import PLACEHOLDERS, ChunkLayout, ReadableBytes, is_four_characters

_AIFF_KNOWN = frozenset([*b"COMM SSND MARK INST COMT NAME AUTH ANNO APPL FORM CHAN".split(), b"(c) ", b"ID3 "])
_AIFF = ChunkLayout(4, ">I", is_four_characters, known=_AIFF_KNOWN)
_CAF_KNOWN = frozenset(b"pakt kuki info strg mark regn inst peak uuid free chan".split())
_CAF = ChunkLayout(4, ">q", is_four_characters, alignment=1, known=_CAF_KNOWN)

_TAIL_BYTES = 4 * 2**20
"""How far from the end of a CAF its packet table is looked for."""

_MOST = 2**32 - 1
_PCM_BYTES = {b"NONE": None, b"twos": None, b"sowt": None, b"raw ": 1, b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1}
_PCM_BYTES |= {b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"in24": 3, b"in32": 4}
"""Bytes of one sample by AIFF-C's compression type; None: by the sample size."""


def aiff_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size of SSND, and of COMM's number of frames, by which FFmpeg states the length."""
    # FFmpeg refuses a form of no size, and reads any other one to its end.
    patches = {4: struct.pack(">I", min(file.size - 8, _MOST))} if file.read_at(4, 4) == bytes(4) else {}
    chunks = {chunk.kind: chunk for chunk in _AIFF.chunks(file, 12)}
    sound = chunks.get(b"SSND")
    if sound is None:
        return patches
    size, room = sound.end - sound.body, file.size - sound.body
    if size == 0 or (size < room and not _AIFF.goes_on_behind(file, sound)):
        size = min(room, _MOST)
        patches[sound.start + 4] = struct.pack(">I", size)
    common = chunks.get(b"COMM")
    content = file.read_at(common.body, common.end - common.body) if common else b""
    if common is None or len(content) < 18:
        return patches
    channels, frames, bits = struct.unpack_from(">hIh", content)
    sample_bytes = _PCM_BYTES.get(content[18:22] or b"NONE", 0)
    if sample_bytes is None:
        sample_bytes = -(-bits // 8)
    if sample_bytes > 0 and channels > 0:
        present = (min(size, room) - 8) // (sample_bytes * channels)
        if frames == 0 or frames >= 2**31 - 1 or frames < present:
            patches[common.body + 2] = struct.pack(">I", max(0, min(present, _MOST)))
    return patches


def caf_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size of the data chunk; -1 stands for `to the end`, and needs none where no packet table follows."""
    kinds = []
    for chunk in _CAF.chunks(file, 8):
        if chunk.kind == b"data":
            size, room = chunk.end - chunk.body, file.size - chunk.body
            if size > room or (size > 0 and _CAF.goes_on(file, chunk.end)):
                return {}
            table = None if b"pakt" in kinds else _last_chunk(file, _CAF, b"pakt", chunk.body)
            if table is None and size in (-1, 0):
                return {}
            return {chunk.start + 4: struct.pack(">q", (table or file.size) - chunk.body)}
        kinds.append(chunk.kind)
    return {}


def caf_sound_bytes(file: ReadableBytes) -> int | None:
    """Of sound by the size of a CAF's data chunk; None where that is unknown."""
    sizes = (chunk.end - chunk.body - 4 for chunk in _CAF.chunks(file, 8) if chunk.kind == b"data")
    return next((size for size in sizes if size > 0), None)


def _last_chunk(file: ReadableBytes, layout: ChunkLayout, kind: bytes, behind: int) -> int | None:
    """The last place of a chunk of this type from which chunks lead to the end of the file."""
    start = max(behind, file.size - _TAIL_BYTES)
    tail = file.read_at(start, file.size - start)
    at = tail.rfind(kind)
    while at >= 0:
        chunk = layout.chunk(file, start + at)
        if chunk is not None and chunk.next > chunk.start and layout.goes_on(file, chunk.next):
            return start + at
        at = tail.rfind(kind, 0, at)
    return None


def au_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size in the header, which is all ones where it is unknown; nothing stands behind the sound."""
    header = file.read_at(0, 12)
    if len(header) < 12:
        return {}
    offset, size = struct.unpack_from(">II", header, 4)
    room = file.size - offset
    is_behind = size < room or (size > room and any(size in placeholder for placeholder in PLACEHOLDERS))
    return {8: struct.pack(">I", min(room, _MOST))} if is_behind else {}


_VOC_HEADER_BYTES = 26
_VOC_SOUND, _VOC_LAST_TYPE, _VOC_TERMINATOR = (1, 2, 9), 9, 0
_VOC_MOST = 2**24 - 1


def voc_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size of the last block of sound. It has 24 bits, so 16 MB are the most that can be read on."""
    at = struct.unpack("<H", file.read_at(20, 2).ljust(2, b"\0"))[0] or _VOC_HEADER_BYTES
    sound: int | None = None
    while len(header := file.read_at(at, 4)) == 4:
        kind, size = header[0], int.from_bytes(header[1:], "little")
        if kind > _VOC_LAST_TYPE or kind == _VOC_TERMINATOR:
            break
        sound = at if kind in _VOC_SOUND else sound
        at += 4 + size
    if sound is None or at >= file.size - 1:
        return {}
    return {sound + 1: min(file.size - sound - 4, _VOC_MOST).to_bytes(3, "little")}
