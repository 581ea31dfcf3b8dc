"""What the kernel forbids the decoder before it reads an upload, so that a codec that was taken over reaches nothing.

Landlock: of files it may read Python, its libraries and the one upload, so neither other uploads nor `/proc/*/environ`
with the worker's keys; it writes none but the map of a file that arrives (`gpu_job/fetch/arrival.py`), and signals
nobody. seccomp: no sockets, no other programs, no other process's
memory. Both need Linux (Landlock 5.13; for signals 6.12), no privilege and no library; where the kernel lacks one of
them, the other stands. docs/security.md says what else there is between an upload and the deployment.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
"""From linux/prctl.h and linux/seccomp.h."""

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
"""Of every architecture."""
LANDLOCK_RULE_PATH_BENEATH = 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
EVERY_ACCESS = (1 << 13) - 1
"""What Landlock's first version (Linux 5.13) knows of: reading, writing, making and removing files of all kinds."""
TRUNCATE, TRUNCATE_SINCE = 1 << 14, 3
SCOPE_SIGNALS, SCOPES_SINCE = 1 << 1, 6
"""What later versions know of."""
VERSION_ASKED = 1
"""LANDLOCK_CREATE_RULESET_VERSION."""

CODE_FOLDERS = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
"""Where the system's libraries are, which Python and codecs may load late."""

LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions of classic BPF, from linux/bpf_common.h."""
ALLOW, FORBID = 0x7FFF0000, 0x00050000 | 1
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM."""
X32_CALLS = 0x40000000
"""From here on x86-64 has the calls of another binary interface."""


@dataclass(frozen=True)
class _Architecture:
    audit: int
    """AUDIT_ARCH_* of linux/audit.h."""
    forbidden: Sequence[int]
    """execve, execveat, socket, connect, ptrace, process_vm_readv, process_vm_writev, io_uring_setup, pidfd_getfd."""


_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, (59, 322, 41, 42, 101, 310, 311, 425, 438)),
    "aarch64": _Architecture(0xC00000B7, (221, 281, 198, 203, 117, 270, 271, 425, 438)),
}


@dataclass(frozen=True)
class Restrictions:
    """Which of them hold."""

    files: bool
    calls: bool


def restrict(upload: str) -> Restrictions:
    """Forbid this process, for the rest of its life, all that reading `upload` does not need."""
    if sys.platform != "linux":
        return Restrictions(files=False, calls=False)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Restrictions(files=False, calls=False)
    readable = [*CODE_FOLDERS, sys.prefix, sys.base_prefix, *filter(None, sys.path)]
    return Restrictions(files=_restrict_files(libc, upload, readable), calls=_restrict_calls(libc))


def _restrict_files(libc: ctypes.CDLL, upload: str, folders: Iterable[str]) -> bool:
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), VERSION_ASKED)
    access = EVERY_ACCESS | (TRUNCATE if version >= TRUNCATE_SINCE else 0)
    attributes = struct.pack("=Q", access)
    if version >= SCOPES_SINCE:
        attributes = struct.pack("=QQQ", access, 0, SCOPE_SIGNALS)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        _allow(libc, ruleset, upload, READ_FILE)
        for folder in dict.fromkeys(folders):
            _allow(libc, ruleset, folder, READ_FILE | (READ_DIR | EXECUTE if Path(folder).is_dir() else 0))
        return bool(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    with suppress(OSError):  # there is none
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = struct.pack("=Qi", access, beneath)
            libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        finally:
            os.close(beneath)


def _restrict_calls(libc: ctypes.CDLL) -> bool:
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return False
    program = _filter(architecture)
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    filtering = Program(len(program) // 8, ctypes.cast(instructions, ctypes.c_void_p))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filtering), 0, 0) == 0)


def _filter(architecture: _Architecture) -> bytes:
    """Instructions that let every call through but the forbidden ones, and those of another architecture."""
    calls = architecture.forbidden
    steps = [
        (LOAD_WORD, 0, 0, 4),  # seccomp_data.arch
        (JUMP_IF_EQUAL, 0, len(calls) + 3, architecture.audit),
        (LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
        (JUMP_IF_AT_LEAST, len(calls) + 1, 0, X32_CALLS),
        *((JUMP_IF_EQUAL, len(calls) - number, 0, call) for number, call in enumerate(calls)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FORBID),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
