"""WAV files of big-endian machines (RIFX), whose samples FFmpeg reads as little-endian: noise.

Shown to it as an AU file, whose header of 24 bytes fits into theirs and says where the samples begin.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from shared.formats.chunks import PLACEHOLDERS, ChunkLayout, ReadableBytes, is_four_characters

_RIFX = ChunkLayout(4, ">I", is_four_characters)
_PCM, _FLOAT, _A_LAW, _MU_LAW = 1, 3, 6, 7
_ENCODINGS = {
    (_PCM, 16): 3, (_PCM, 24): 4, (_PCM, 32): 5, (_FLOAT, 32): 6, (_FLOAT, 64): 7, (_MU_LAW, 8): 1, (_A_LAW, 8): 27,
}  # fmt: skip
"""WAV's format and bits a sample -> AU's encoding. AU's 8 bits have a sign, WAV's have none."""
_UNKNOWN = 0xFFFF_FFFF


def rifx_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """The header of an AU file; empty where AU has no such samples."""
    chunks = {chunk.kind: chunk for chunk in _RIFX.chunks(file, 12)}
    form, data = chunks.get(b"fmt "), chunks.get(b"data")
    fields = file.read_at(form.body, 16) if form else b""
    if data is None or len(fields) < 16:
        return {}
    kind, channels, rate, _, _, bits = struct.unpack(">HHIIHH", fields)
    encoding = _ENCODINGS.get((kind, bits))
    if encoding is None:
        return {}
    size, room = data.end - data.body, file.size - data.body
    is_unknown = size == 0 or (size > room and any(size in placeholder for placeholder in PLACEHOLDERS))
    stated = _UNKNOWN if is_unknown else size
    return {0: struct.pack(">4s5I", b".snd", data.body, stated, encoding, rate, channels)}
