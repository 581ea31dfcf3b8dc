"""What a file is by its first bytes: sound that may be damaged, or something else, in words for its owner."""

from __future__ import annotations

import re

_MEDIA = re.compile(
    rb"RIFF.{4}(WAVE|AVI )|RF64|RIFX|riff\x2e\x91\xcf\x11|FORM.{4}AIF[FC]|fLaC|OggS|ID3|#!AMR|caff|\.snd|FLV\x01"
    rb"|MAC |TTA[12]|wvpk|MPCK|MP\+|DSD |tBaK|NIST_1A\n|Creative Voice File\x1a|\.RMF|\.sox|XoS\.|2BIT|PVF1"
    rb"|nut/multimedia container|RIFF.{4}(QLCM|XWMA)|EA3|FRM8|ajkg|\x02dss|\x03ds2|DHAV|TWIN97012000|VQF|NSVf"
    rb"|\x06\x0e\x2b\x34|\xb7\xd8\x00\x20\x37\x49\xda\x11|\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|DTSHDHDR"
    rb"|\x1a\x45\xdf\xa3|\x30\x26\xb2\x75\x8e\x66\xcf\x11"
    rb"|.{4}(ftyp(?!avif|avis|heic|heix|hevc|mif1|msf1)|moov|mdat|moof|styp|wide|pnot)",
    re.DOTALL,
)

_OTHERS = {
    "a ZIP archive or an office document": rb"PK\x03\x04|PK\x05\x06",
    "a compressed archive": rb"\x1f\x8b|BZh|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ|\x28\xb5\x2f\xfd",
    "a PDF document": rb"%PDF-",
    "an image": rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|II\x2a\0|MM\0\x2a|BM.{4}\0{4}"
    rb"|.{4}ftyp(avif|avis|heic|heix|hevc|mif1|msf1)|\0\0\x01\0.\0",
    "a program": rb"\x7fELF|MZ.{58}",
    "a database": rb"SQLite format 3\0",
    "a picture stream without sound": rb"\0\0\x01\xb3|\0\0\0\x01[\x40\x67\x27]|DKIF|YUV4MPEG2 ",
    "an Audible book, which is encrypted (DRM)": rb".{4}\x57\x90\x75\x36",
    "MIDI notes without sound": rb"MThd",
}
_TEXTS = {
    "a playlist, which only names other files": rb"#EXTM3U|ffconcat|\[playlist\]|<\?xml.{0,200}<(MPD|smil|asx)|<asx",
    "a session description, which only names addresses": rb"v=0\r?\n",
    "subtitles": rb"WEBVTT|\[Script Info\]|1\r?\n\d\d:\d\d:\d\d,",
    "a web page": rb"<!doctype html|<html",
    "XML": rb"<\?xml|<svg",
    "JSON": rb"[\[{]\s*[\"\[{\]}]",
    "text": rb"",
}
_ASF = bytes.fromhex("3026b2758e66cf11")
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb31122 23bdd211 b4b700a0c955fc6e"),
    bytes.fromhex("14e68a29 2226174c b935dae07ee9289c"),
)
"""Content Encryption and Extended Content Encryption objects."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_8_MARK = b"\xef\xbb\xbf"
_NOT_IN_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def is_media(head: bytes) -> bool:
    """Does the file begin as a known container does? Raw MPEG, AAC and AC-3 streams have no such beginning."""
    return _MEDIA.match(head) is not None


def is_encrypted_asf(head: bytes) -> bool:
    """Is this a Windows Media file whose header carries a key?"""
    return head.startswith(_ASF) and any(mark in head for mark in _ASF_ENCRYPTION)


_TS_PACKET_BYTES = (188, 192, 204)
_SCRAMBLED = 0xC0


def is_scrambled_ts(head: bytes) -> bool:
    """Is this a transport stream of which most packets are encrypted?"""
    for packet_bytes in _TS_PACKET_BYTES:
        first = packet_bytes - 188 if packet_bytes == 192 else 0
        starts = range(first, min(len(head) - 4, 1000 * packet_bytes), packet_bytes)
        if len(starts) > 10 and all(head[start] == 0x47 for start in starts):
            scrambled = sum(bool(head[start + 3] & _SCRAMBLED) for start in starts)
            return scrambled > len(starts) // 2
    return False


def looks_like(head: bytes) -> str | None:
    """What a file that is no media looks like, to stand behind `it looks like`; None for bytes that say nothing."""
    for kind, pattern in _OTHERS.items():
        if re.match(pattern, head, re.DOTALL):
            return kind
    if not _is_text(head):
        return None
    text = head.removeprefix(_UTF_8_MARK).lstrip()
    return next(kind for kind, pattern in _TEXTS.items() if re.match(pattern, text, re.DOTALL | re.IGNORECASE))


def _is_text(head: bytes) -> bool:
    if head.startswith(_UTF_16):
        return b"\n\0" in head or b"\0\n" in head or b" \0" in head or b"\0 " in head
    if _NOT_IN_TEXT.search(head):
        return False
    # The last character may be cut in the middle.
    return any(_is_utf_8(head[: len(head) - cut]) for cut in range(4))


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
