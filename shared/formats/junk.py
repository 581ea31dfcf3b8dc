"""Bytes that stand before a recording: the headers of a download, a torn page, a player's own data. Pure.

FFmpeg itself finds raw MPEG audio, AAC and AC-3 behind them, and a transport stream behind a few KB; not a container.
"""

from __future__ import annotations

import re

from shared.formats.chunks import ReadableBytes

SEARCHED_BYTES = 256 * 1024
"""How far from the start a recording is looked for."""

_RECORDING = re.compile(
    rb"fLaC\x00\x00\x00\x22|fLaC\x80\x00\x00\x22|RIFF.{4}WAVE|RF64\xff{4}WAVEds64|OggS\x00\x02"
    rb"|\x1a\x45\xdf\xa3.{1,40}\x42\x82.(webm|matroska)"
    rb"|\x00\x00\x00.ftyp(M4A |M4B |M4V |isom|iso[2-9]|mp4[12]|qt  |3gp|dash)"
    rb"|RIFF.{4}AVI LIST|FORM.{4}(AIFFCOMM|AIFC(COMM|FVER))|caff\x00\x01\x00\x00desc"
    rb"|FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00{4}"
    rb"|\.snd\x00\x00.{2}.{4}\x00\x00\x00[\x01-\x1b]\x00\x00"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c|#!AMR(-WB)?\n[\x04-\x7c]"
    # PAT or its like with the sync bytes of the packets behind it, of 188 bytes, or of 192 with a time code.
    rb"|\x47[\x40-\x5f].{186}(\x47.{187}){3}\x47|.{4}\x47[\x40-\x5f].{190}(\x47.{191}){3}\x47",
    re.DOTALL,
)
"""How recordings begin, as long as that takes not to be met by chance."""

_BEGINNING = re.compile(
    rb"fLaC|RIFF|RIFX|RF64|BW64|riff|FORM|FRM8|OggS|ID3|#!AMR|caff|\.snd|FLV|MAC |TTA[12]|wvpk|MPCK|MP\+|DSD |tBaK|NIST"
    rb"|Creative Voice|\.RMF|\.ra\xfd|nut/|\x1a\x45\xdf\xa3|\x30\x26\xb2\x75|\x06\x0e\x2b\x34|\xb7\xd8\x00\x20"
    rb"|.{4}(ftyp|moov|mdat|moof|styp|wide|pnot|free|skip)"
    rb"|\xff[\xe0-\xff]|\x0b\x77|\x77\x0b|\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x00\x00\x01\xba|.{0,4}\x47.{187}\x47|\x56[\xe0-\xff]",
    re.DOTALL,
)
"""How files begin that have nothing before their sound."""


def junk_bytes(file: ReadableBytes) -> int:
    """How many bytes stand before a recording that does not begin where the file does; 0 where none is found."""
    head = file.read_at(0, SEARCHED_BYTES)
    if _BEGINNING.match(head):
        return 0
    found = _RECORDING.search(head)
    return found.start() if found else 0
