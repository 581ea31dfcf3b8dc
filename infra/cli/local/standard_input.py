"""Standard input as a recording: written to a file first, for containers are read back and forth."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from infra.cli.errors import CommandError
from infra.cli.exit_codes import ExitCode
from infra.cli.local.inputs import STANDARD_INPUT
from infra.cli.local.temporary_files import KEPT_FREE_BYTES, check_room
from shared.object_names import folder_name

DEFAULT_NAME = "standard-input"

MAX_BYTES = 32 * 2**30
"""Of standard input. 40 days of MP3 at 64 kbit/s, or 50 hours of CD sound, and an end for a stream that has none."""
BLOCK_BYTES = 2**20
_BLOCKS_PER_CHECK = 64
"""A look at the free disk for every 64 MiB."""


@contextmanager
def standard_input(arguments: Sequence[str], name: str | None) -> Iterator[Path | None]:
    """Where `arguments` name it (`-`), standard input as a file called `name`, for as long as the block runs; or None.

    Raises CommandError, and OSError.
    """
    if STANDARD_INPUT not in arguments:
        if name is not None:
            raise CommandError("--name is what standard input is called, but - is not among the files", ExitCode.USAGE)
        yield None
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise CommandError("- stands for standard input, but no recording is piped into it", ExitCode.USAGE)
    with TemporaryDirectory(prefix="dropscribe-input-") as folder:
        path = Path(folder) / file_name(name)
        spool(sys.stdin.buffer, path)
        yield path


def file_name(name: str | None) -> str:
    """The last part of what `--name` says: it is the name of a folder of results, too."""
    last = PurePosixPath(name or "").name
    return folder_name(last) if last not in ("", "..") else DEFAULT_NAME


def spool(stream: BinaryIO, path: Path, max_bytes: int = MAX_BYTES, kept_free_bytes: int = KEPT_FREE_BYTES) -> int:
    """Copy `stream` to `path`, to its end; the bytes. CommandError where there are too many for it or for the disk."""
    size = 0
    with path.open("wb") as file:
        for number in count():
            block = stream.read(BLOCK_BYTES)
            if not block:
                break
            size += len(block)
            if size > max_bytes:
                raise CommandError(f"Standard input has more than {max_bytes / 2**30:g} GiB: transcribe it in parts")
            if number % _BLOCKS_PER_CHECK == 0:
                check_room([size], kept_free_bytes)
            file.write(block)
    if not size:
        raise CommandError("Standard input is empty", ExitCode.REJECTED)
    check_room([size], kept_free_bytes)
    return size
