"""A file that is read while it is fetched: what is read is what will be there, and nothing passes for its end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from dropscribe.local_media import inspected
from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.byte_source import UploadFile
from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process.child import DecoderChild, DecoderFailed
from gpu_job.audio.decoder_process.start import DecoderLimits
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.fetch.arrival import PART_BYTES, ArrivalMap
from gpu_job.fetch.arriving_file import CONNECTIONS, ArrivingFile
from shared.errors import BadMedia
from shared.media import DEMUXERS
from tests.support.arriving import GatedContent
from tests.support.sounds import make
from tests.support.waiting import PATIENCE

CONTENT = os.urandom(PART_BYTES) + bytes(8 * PART_BYTES) + os.urandom(1000)
LAST = len(CONTENT) // PART_BYTES


def arriving(folder: Path, content: GatedContent, check: Callable[[int], None] = lambda crc: None) -> ArrivingFile:
    data = content.data
    return ArrivingFile(folder / "upload", len(data), data[:PART_BYTES], content.read, check)


def test_the_whole_file_arrives_with_its_checksum(tmp_path: Path) -> None:
    checked: list[int] = []
    with arriving(tmp_path, GatedContent(CONTENT), checked.append) as file:
        assert file.wait(PATIENCE)
        assert file.path.read_bytes() == CONTENT
    assert checked == [google_crc32c.value(CONTENT)]
    assert sorted(tmp_path.iterdir()) == [file.path]


def test_whoever_loses_interest_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    content = GatedContent(CONTENT)
    with content.closed(), arriving(tmp_path, content) as file:
        content.wait_for_requests(CONNECTIONS)
        looks = iter([False, True])
        assert not file.wait_unless(lambda: next(looks))
        content.open()
        assert file.wait_unless(lambda: False)


def test_what_a_reader_waits_for_comes_before_what_nobody_does(tmp_path: Path) -> None:
    content = GatedContent(CONTENT)
    with content.closed(), arriving(tmp_path, content) as file, ThreadPoolExecutor(1) as threads:
        content.wait_for_requests(CONNECTIONS)
        upload = UploadFile(str(file.path), ArrivalMap(file.map_path))
        end = threads.submit(upload.read, 500, len(CONTENT) - 500)
        # The reader has said what it wants, and waits.
        while not ArrivalMap(file.map_path).wanted():
            assert not end.done()
        content.open()
        assert end.result(PATIENCE) == CONTENT[-500:]
        assert file.wait(PATIENCE)
    assert content.requested.index(LAST) == CONNECTIONS


def test_of_what_somebody_has_read_the_checksum_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has read the last part of a shard ends at once, and says what it read."""
    extend = google_crc32c.extend

    def slowly(crc: int, block: bytes) -> int:
        time.sleep(0.2 if block == CONTENT[LAST * PART_BYTES :] else 0)
        return extend(crc, block)

    monkeypatch.setattr(google_crc32c, "extend", slowly)
    with arriving(tmp_path, GatedContent(CONTENT)) as file:
        UploadFile(str(file.path), ArrivalMap(file.map_path)).read(500, len(CONTENT) - 500)
        assert file.checksums()[LAST] == google_crc32c.value(CONTENT[LAST * PART_BYTES :])


def test_a_reader_gets_nothing_that_is_not_there_yet(tmp_path: Path) -> None:
    content = GatedContent(CONTENT)
    with content.closed(), arriving(tmp_path, content) as file, ThreadPoolExecutor(1) as threads:
        upload = UploadFile(str(file.path), ArrivalMap(file.map_path))
        assert upload.read(100, PART_BYTES - 100) == CONTENT[PART_BYTES - 100 : PART_BYTES]
        across = threads.submit(upload.read, 100, PART_BYTES - 50)
        while not ArrivalMap(file.map_path).wanted():
            assert not across.done()
        content.open()
        assert across.result(PATIENCE) == CONTENT[PART_BYTES - 50 : PART_BYTES + 50]


@pytest.mark.parametrize("fault", ["fails", "comes short"])
def test_a_fetch_that_fails_ends_every_wait(tmp_path: Path, fault: str) -> None:
    def read(start: int, end: int) -> bytes:
        if fault == "fails":
            raise ConnectionResetError("gone")
        return CONTENT[start : end - 1]

    file = ArrivingFile(tmp_path / "upload", len(CONTENT), CONTENT[:PART_BYTES], read, lambda crc: None)
    with file:
        with pytest.raises(ConnectionError, match="gone" if fault == "fails" else "bytes came instead"):
            file.wait(PATIENCE)
        with pytest.raises(ConnectionError, match="not fetched"):
            UploadFile(str(file.path), ArrivalMap(file.map_path)).read(10, len(CONTENT) - 10)


def test_a_wrong_checksum_is_the_files_end(tmp_path: Path) -> None:
    def check(crc: int) -> None:
        raise ConnectionError(f"{crc} is wrong")

    ends: list[BaseException | None] = []
    content = GatedContent(CONTENT)
    file = ArrivingFile(tmp_path / "upload", len(CONTENT), CONTENT[:PART_BYTES], content.read, check, ends.append)
    with file, pytest.raises(ConnectionError, match="is wrong"):
        file.wait(PATIENCE)
    assert [type(error) for error in ends] == [ConnectionError]


def test_who_waited_for_the_file_comes_after_who_is_told(tmp_path: Path) -> None:
    """A shard whose words were all there was done without them: nobody had said yet that its file was right."""
    told, goes_on = threading.Event(), threading.Event()

    def on_end(error: BaseException | None) -> None:
        told.set()
        goes_on.wait()

    content = GatedContent(CONTENT)
    args = (tmp_path / "upload", len(CONTENT), CONTENT[:PART_BYTES], content.read, lambda crc: None, on_end)
    with ArrivingFile(*args) as file:
        try:
            assert told.wait(PATIENCE)
            assert not file.wait(0)
        finally:
            goes_on.set()
        assert file.wait(PATIENCE)


def test_a_reader_cannot_pass_for_there_what_is_not(tmp_path: Path) -> None:
    """A decoder that was taken over may write to the map."""
    checked: list[int] = []
    content = GatedContent(CONTENT)
    with content.closed(), arriving(tmp_path, content, checked.append) as file:
        told = ArrivalMap(file.map_path)
        for part in range(told.parts):
            told.add(part)
        told.end(complete=True)
        assert not file.wait(0)
        content.open()
        assert file.wait(PATIENCE)
    assert checked == [google_crc32c.value(CONTENT)]


def test_nobody_waits_for_a_process_that_is_gone(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from gpu_job.fetch.arrival import ArrivalMap;"
    code += "ArrivalMap.create(Path(sys.argv[1]), 100)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "map")], check=True)
    assert not ArrivalMap(tmp_path / "map").wait_for(0, 10)


def test_a_file_that_nobody_reads_any_more_is_fetched_no_further(tmp_path: Path) -> None:
    content = GatedContent(CONTENT)
    with content.closed():
        file = arriving(tmp_path, content)
        content.wait_for_requests(CONNECTIONS)
        leaving = threading.Thread(target=file.__exit__, args=(None, None, None))
        leaving.start()
        while not ArrivalMap(file.map_path).has_ended:
            assert leaving.is_alive()
        content.open()
        leaving.join(PATIENCE)
    assert len(content.requested) == CONNECTIONS


SECONDS = 70
SOUND = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}:sample_rate=48000")
PICTURE = (
    *("-f", "lavfi", "-i", f"nullsrc=s=320x240:r=8:d={SECONDS},geq=random(1)*255:128:128"),
    *("-c:v", "mjpeg", "-q:v", "4"),
)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", (*SOUND, "-ac", "2")),
        ("a.flac", ("-f", "lavfi", "-i", f"anoisesrc=a=0.3:d={SECONDS}:r=48000", "-ac", "2")),
        ("end.mp4", (*SOUND, *PICTURE)),
        ("front.mp4", (*SOUND, *PICTURE, "-movflags", "faststart")),
        ("parts.mp4", (*SOUND, *PICTURE, "-movflags", "frag_keyframe+empty_moov")),
        ("a.mkv", (*SOUND, *PICTURE)),
    ],
)
def test_a_file_that_arrives_is_heard_as_the_whole_file_is(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = make(tmp_path / name, *options)
    data = path.read_bytes()
    assert len(data) > PART_BYTES
    usual = DecodeOptions(media=inspected(path), parallel=ParallelDecoding(children=3))
    whole = np.concatenate(list(decode(path, usual)))
    content = GatedContent(data)
    with arriving(tmp_path, content) as file:
        told = DecodeOptions(media=usual.media, parallel=usual.parallel, arrival=file.map_path)
        heard = np.concatenate(list(decode(file.path, told)))
        assert file.wait(PATIENCE)
    assert np.array_equal(heard, whole)


@pytest.mark.parametrize(
    ("name", "options", "held"),
    [
        ("a.wav", (*SOUND, "-ac", "2"), 1),
        ("front.mp4", (*SOUND, *PICTURE, "-movflags", "faststart"), 2),
        ("end.mp4", (*SOUND, *PICTURE), 1),
    ],
)
def test_sound_comes_before_the_file_is_there(tmp_path: Path, name: str, options: tuple[str, ...], held: int) -> None:
    """`held`: a part that nothing needs before the file's sound there; of an MP4 it is not the one with the index."""
    content = GatedContent(make(tmp_path / name, *options).read_bytes(), {held})
    with content.closed(), arriving(tmp_path, content) as file, ThreadPoolExecutor(1) as threads:
        told = DecodeOptions(parallel=ParallelDecoding(children=1), arrival=file.map_path)
        blocks = decode(file.path, told)
        first = threads.submit(next, blocks)
        try:
            assert len(first.result(PATIENCE)) > 0
            assert not file.wait(0)
        finally:
            content.open()
        assert sum(len(block) for block in blocks) > 0


def test_a_decoder_that_waits_for_bytes_does_not_stall(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *SOUND, "-ac", "2")
    content = GatedContent(path.read_bytes())
    limits = DecoderLimits(stall_seconds=2.0)
    with content.closed(), arriving(tmp_path, content) as file:
        request = DecodingRequest(str(file.path), DEMUXERS, arrival=str(file.map_path))
        with DecoderChild(request, limits) as child, ThreadPoolExecutor(1) as threads:
            count = threads.submit(lambda: sum(1 for _ in child.records()))
            with pytest.raises(TimeoutError):
                count.result(timeout=5.0)
            child.kill()
            with pytest.raises(DecoderFailed, match="broke off"):
                count.result(PATIENCE)
            content.open()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")
def test_a_decoder_that_hangs_is_ended_though_nobody_fetches_the_rest(tmp_path: Path) -> None:
    data, hanging = CONTENT, tmp_path / "fifo"
    os.mkfifo(hanging)
    content = GatedContent(data)
    args = (tmp_path / "upload", len(data), data[:PART_BYTES], content.read, lambda crc: None)
    with ArrivingFile(*args, on_demand=True) as file, ThreadPoolExecutor(1) as threads:
        request = DecodingRequest(str(hanging), DEMUXERS, arrival=str(file.map_path))
        with DecoderChild(request, DecoderLimits(stall_seconds=0.2)) as child:
            records = threads.submit(lambda: list(child.records()))
            try:
                with pytest.raises(DecoderFailed, match="gave no audio"):
                    records.result(PATIENCE)
            finally:
                child.kill()
                records.exception(PATIENCE)


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_decoder_whose_file_does_not_come_ends(tmp_path: Path, is_begun: bool) -> None:
    """`is_begun`: whether its first part is there before another's fetch fails."""
    path = make(tmp_path / "a.wav", *SOUND, "-ac", "2")
    data, failing = path.read_bytes(), threading.Event()

    def read(start: int, end: int) -> bytes:
        failing.wait(PATIENCE)
        raise ConnectionResetError("gone")

    with ArrivingFile(tmp_path / "upload", len(data), data[:PART_BYTES], read, lambda crc: None) as file:
        told = DecodeOptions(media=inspected(path), arrival=file.map_path)
        blocks = decode(file.path, told)
        heard = len(next(blocks)) if is_begun else 0
        failing.set()
        # What of it is heard depends on which of its threads was first.
        with suppress(BadMedia, DecoderFailed):
            heard += sum(len(block) for block in blocks)
        assert heard < 16_000 * SECONDS
        with pytest.raises(ConnectionResetError):
            file.wait(PATIENCE)
