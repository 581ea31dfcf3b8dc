"""What a file is by its first bytes: sound that may be damaged, or something else, in words for its owner."""

from __future__ import annotations

import re

_MEDIA = re.compile(
    rb"RIFF.{4}(WAVE|AVI )|RF64|RIFX|riff\x2e\x91\xcf\x11|FORM.{4}AIF[FC]|fLaC|OggS|ID3|#!AMR|caff|\.snd|FLV\x01"
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
