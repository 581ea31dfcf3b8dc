"""An upload cannot make inspection open another file or address, nor print, nor hide what went wrong on the way."""

from __future__ import annotations

import io
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import av
import pytest

from shared.errors import BadMedia
from tests.support.large_files import FILES, Build
from tests.support.mp4_boxes import box, with_content
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import Record
from trigger_function.inspection.demux import OPTIONS, Undemuxable, demuxer
from trigger_function.inspection.inspector import inspect
from trigger_function.inspection.ranged_reader import RangedReader

LOOSE = {
    "safe": "0",
    "allowed_extensions": "ALL",
    "extension_picky": "0",
    "enable_drefs": "1",
    "use_absolute_path": "1",
}
"""FFmpeg's own defences, off: what is tested here must hold without them."""


class Listener:
    """A server that counts who comes, and says nothing."""

    def __init__(self) -> None:
        self.visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._listen)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/secret.ts"

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                self.visits += 1
                visitor.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def m3u8(url: str) -> bytes:
    lines = ("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:9", "#EXTINF:9,", url, "#EXT-X-ENDLIST", "")
    return "\n".join(lines).encode()


def ffconcat(url: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{url}'\n".encode()


LISTS = pytest.mark.parametrize(("demuxer_name", "build"), [("hls", m3u8), ("concat", ffconcat)])


def try_to_open(data: bytes, options: dict[str, str], name: str | None) -> None:
    with suppress(av.FFmpegError), av.open(io.BytesIO(data), mode="r", format=name, container_options=LOOSE | options):
        pass


@LISTS
def test_without_walls_the_list_is_followed(demuxer_name, build, listener: Listener) -> None:
    try_to_open(build(listener.url), {"protocol_whitelist": "http,tcp"}, demuxer_name)
    assert listener.visits > 0


@LISTS
@pytest.mark.parametrize("wall", ["format_whitelist", "protocol_whitelist"])
def test_each_wall_alone_holds(demuxer_name, build, wall: str, listener: Listener) -> None:
    open_doors = {"protocol_whitelist": "http,tcp"}
    try_to_open(build(listener.url), open_doors | {wall: OPTIONS[wall]}, demuxer_name)
    assert listener.visits == 0


@LISTS
@pytest.mark.parametrize("disguise", [b"", b"ID3\4\0\0\0\0\0\0", b"\0" * 300], ids=["none", "as mp3", "as bytes"])
def test_inspection_follows_no_list(demuxer_name, build, disguise: bytes, listener: Listener) -> None:
    remote = RemoteObject.of(disguise + build(listener.url))
    with pytest.raises(BadMedia):
        inspect(remote.fetch, remote.size)
    with pytest.raises(Undemuxable), demuxer(RangedReader(remote.fetch, remote.size)):
        pass
    assert listener.visits == 0


def with_external_sound(movie: bytes, path: str) -> bytes:
    """A QuickTime file, header last, whose sound lies at `path`, says an alias record."""
    reference = struct.pack(">II", 0, 1) + box(b"alis", bytes(4) + alias(path))
    return with_content(movie, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), reference)


def alias(path: str) -> bytes:
    """An alias record, as far as FFmpeg reads it."""
    name, steps = path.rpartition("/")[2].encode(), path.count("/")
    volume = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12)
    file = bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, steps) + bytes(16)
    text = path.replace("/", ":").encode() + b"\0" * (len(path) % 2)
    return volume + file + struct.pack(">HH", 2, len(path)) + text + struct.pack(">HH", 0xFFFF, 0)


def test_sound_in_another_file_is_not_followed(record: Record, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(record("wav"))
    movie = with_external_sound(record("mov", "-c:a", "pcm_s16le"), str(secret))
    asked_for: list[str] = []

    def open_elsewhere(url: str, flags: int, options: dict[str, str]) -> io.BytesIO:
        asked_for.append(url)
        return io.BytesIO()

    def opened(options: dict[str, str]) -> list[str]:
        asked_for.clear()
        with av.open(io.BytesIO(movie), mode="r", container_options=options, io_open=open_elsewhere):
            return list(asked_for)

    assert any(url.endswith("secret.wav") for url in opened(LOOSE)), "FFmpeg would have asked for it"
    assert opened(OPTIONS) == []
    with pytest.raises(BadMedia, match="in another file, which is not followed"):
        inspect(RemoteObject.of(movie).fetch, len(movie))


def test_a_demuxer_that_asks_for_another_file_ends_in_a_refusal(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = with_external_sound(record("mov", "-c:a", "pcm_s16le"), "/etc/hostname/of/this/machine")
    for option in ("enable_drefs", "use_absolute_path"):
        monkeypatch.setitem(OPTIONS, option, "1")
    with (
        pytest.raises(BadMedia, match="refers to another file or address"),
        demuxer(RangedReader(RemoteObject.of(movie).fetch, len(movie))),
    ):
        pass


@pytest.mark.parametrize("build", FILES.values(), ids=FILES)
def test_what_any_fetch_raises_comes_out_as_it_is(build: Build, record: Record) -> None:
    whole, _ = build(record)
    inspect(whole.fetch, whole.size)
    for good_requests in range(len(whole.requests)):
        remote, _ = build(record)
        error = ConnectionResetError("the network went away")

        def fetch(start: int, end: int, remote=remote, good_requests=good_requests, error=error) -> bytes:
            if len(remote.requests) == good_requests:
                raise error
            return remote.fetch(start, end)

        with pytest.raises(ConnectionResetError) as caught:
            inspect(fetch, remote.size)
        assert caught.value is error


def test_nothing_is_printed(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    files = [record(suffix) for suffix in ("mp3", "m4a", "flac", "opus", "webm", "ts", "avi", "asf")]
    for data in files:
        for damaged in (data, data[:1000], data[: len(data) // 2], data[:500] + bytes(200) + data[700:]):
            with suppress(BadMedia):
                inspect(RemoteObject.of(damaged).fetch, len(damaged))
    assert capfd.readouterr() == ("", "")


MEMORY_OF_ONE_INSPECTION = """
import resource, sys
from shared.errors import BadMedia
from trigger_function.inspection.inspector import inspect

data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    inspect(lambda start, end: data[start:end], len(data))
except BadMedia:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before)
"""


def test_a_header_cannot_claim_the_memory(record: Record) -> None:
    wav = record("wav")
    claim = wav[:36] + b"LIST" + struct.pack("<I", 2**31 - 1) + b"INFOISFT" + struct.pack("<I", 1_200_000_000)
    child = [sys.executable, "-c", MEMORY_OF_ONE_INSPECTION]
    project = Path(__file__).parents[3]
    growth = subprocess.run(child, input=claim + wav[36:], stdout=subprocess.PIPE, check=True, cwd=project).stdout
    assert float(growth) < 2
