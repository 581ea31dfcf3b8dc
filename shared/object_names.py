"""Names of objects: what Cloud Storage allows, and the name under which a file is uploaded that cannot keep its own."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import PurePath, PurePosixPath

MAX_OBJECT_NAME_BYTES = 1024
"""Of UTF-8. This and the other rules: https://cloud.google.com/storage/docs/objects#naming."""

_RESERVED_PREFIX = ".well-known/acme-challenge/"

_MAX_PART_BYTES = 255
"""Longest name of a file or folder (Linux, NAME_MAX): results are written to a folder named like the object."""

_SHORTENED_BYTES = 512
"""What a name is shortened to: with room for the names of results, which begin with it."""

_MAX_SUFFIX_BYTES = 16
"""A longer suffix is part of the name: it is no file type."""

_UNSAFE = re.compile("[\r\n\0%\udc80-\udcff]")
"""The last ones stand for bytes that are not UTF-8 (PEP 383)."""


def name_problem(name: str) -> str | None:
    """Why no object can have this name; None where one can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if not 1 <= size <= MAX_OBJECT_NAME_BYTES:
        return f"it has {size} bytes, not 1 to {MAX_OBJECT_NAME_BYTES}"
    if not {"\r", "\n"}.isdisjoint(name):
        return "it has a line break"
    if name in (".", "..") or name.startswith(_RESERVED_PREFIX):
        return "it is reserved"
    return None


def object_name(path: PurePath) -> str:
    """The name of a file's object: its path, or, where no object and no folder of results can be named so, one like it.

    That one has `%XX` for bytes that are not UTF-8, for CR, LF, NUL and `%`; is cut to 512 bytes where it is too long;
    and ends in a hash of the path, so that two files never share it. The same path always has the same name.
    """
    name = path.as_posix()
    if name_problem(name) is None and "\0" not in name and all(map(_fits, name.split("/"))):
        return name
    digest = _digest(name)
    *folders, file = [_escaped(part) for part in PurePosixPath(name).parts if part != "/"] or [name]
    file = _shortened(file, digest)
    folder = "/".join(_shortened(part, _digest(part)) if not _fits(part) else part for part in folders)
    folder = _cut(folder, _SHORTENED_BYTES - 1 - len(file.encode())).rstrip("/")
    shortened = f"{folder}/{file}" if folder else file
    return shortened.removeprefix(".") if shortened.startswith(_RESERVED_PREFIX) else shortened


def folder_name(part: str) -> str:
    """One part of an object's name as the name of a folder on this machine, which has fewer bytes and no NUL."""
    escaped = part.replace("\0", "%00")
    return escaped if _fits(escaped) else _shortened(escaped, _digest(part))


def _fits(part: str) -> bool:
    return len(os.fsencode(part)) <= _MAX_PART_BYTES


def _escaped(part: str) -> str:
    return "".join(f"%{os.fsencode(char)[0]:02X}" if _UNSAFE.fullmatch(char) else char for char in part)


def _shortened(part: str, digest: str) -> str:
    """`call.mp3` -> `call-0123abcd.mp3`, at most 255 bytes long."""
    suffix = PurePosixPath(part).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    end = f"-{digest}{suffix}"
    return _cut(part.removesuffix(suffix), _MAX_PART_BYTES - len(end.encode())) + end


def _cut(text: str, size: int) -> str:
    """The beginning of `text`, at most `size` bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def _digest(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
