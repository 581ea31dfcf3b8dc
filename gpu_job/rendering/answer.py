"""A result file on its way from the rendering process, which never holds all of one that is made in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from gpu_job.rendering.parts import read_parts, write_parts
from shared.transcript.render import InPieces, Rendered


def write_file(stream: IO[bytes], file: Rendered | InPieces) -> None:
    """Send it, while it is made where it is in pieces."""
    head = [file.name.encode(), file.content_type.encode()]
    if isinstance(file, Rendered):
        write_parts(stream, [*head, file.data])
        return
    write_parts(stream, head)
    for piece in file.pieces:
        write_parts(stream, [piece])
    write_parts(stream, [])


def read_file(stream: IO[bytes]) -> Rendered | InPieces | None:
    """The next one, all of whose pieces are to be read before whatever comes behind it; None: there are no more.

    Raises EOFError where the other side has ended, as its pieces do."""
    parts = read_parts(stream)
    if not parts:
        return None
    name, content_type, *data = parts
    if data:
        return Rendered(name.decode(), content_type.decode(), data[0])
    return InPieces(name.decode(), content_type.decode(), _pieces(stream))


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while parts := read_parts(stream):
        yield parts[0]
