"""`TranscriptionHandler`: the interface of the pipeline that it takes the place of, here and by a deployment."""

from __future__ import annotations

import asyncio
import csv
import json
import threading
from pathlib import Path

import pytest

from dropscribe import DropscribeError, NoTranscript, TranscriptFiles, TranscriptionHandler
from dropscribe.local_engines import LOCAL_ENGINES
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.media import Upload
from tests.support.coroutines import run
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud
from tests.support.sounds import make, noise, raw
from tests.support.waiting import wait_until
from trigger_function.handle_upload import handle

TINY = MODEL_PATH.parent / "parakeet-tdt-tiny"
MEMO, CALL = recording("memo"), recording("call")


@pytest.fixture
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UPLOADS_BUCKET", "STATE_BUCKET", "DEEPGRAM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USE_GPU_TRANSCRIPTION", "true")
    monkeypatch.setenv("PARAKEET_MODEL_NAME", str(TINY))


def words_of(files: TranscriptFiles) -> list[str]:
    rows = list(csv.reader(files["words_file"].open(newline="", encoding="utf-8")))
    assert rows[0] == ["start_time", "end_time", "word"]
    assert all(0 <= float(start) <= float(end) for start, end, _ in rows[1:])
    return [row[2] for row in rows[1:]]


def check(files: TranscriptFiles, video_id: str, folder: Path, begins: str) -> None:
    assert files == {
        "transcript_json_file": folder / f"audio_{video_id}_transcript.json",
        "words_file": folder / f"audio_{video_id}_words.csv",
        "paragraphs_file": folder / f"audio_{video_id}_paragraphs.csv",
    }
    answer = json.loads(files["transcript_json_file"].read_text())
    alternative = answer["results"]["channels"][0]["alternatives"][0]
    assert alternative["transcript"].startswith(begins)
    assert [word["punctuated_word"] for word in alternative["words"]] == words_of(files)
    paragraphs = list(csv.reader(files["paragraphs_file"].open(newline="", encoding="utf-8")))
    assert paragraphs[0] == ["start_time", "end_time", "text"]
    assert " ".join(row[2] for row in paragraphs[1:]).split() == words_of(files)


@pytest.mark.usefixtures("on_this_machine")
def test_two_at_once_on_this_machine(tmp_path: Path) -> None:
    async def both() -> tuple[list[TranscriptFiles], int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        beside = asyncio.create_task(others())
        calls = [
            TranscriptionHandler().process_audio_files("1", str(MEMO.path), str(tmp_path / "out")),
            TranscriptionHandler().process_audio_files("zwei", CALL.path, tmp_path / "out"),
        ]
        done = await asyncio.gather(*calls)
        beside.cancel()
        return done, turns

    (first, second), turns = run(both())
    check(first, "1", tmp_path / "out", "The doctor remembered the report")
    check(second, "zwei", tmp_path / "out", CALL.words[0].word.capitalize())
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert turns > 5  # each is 10 ms in which the loop was free
    assert LOCAL_ENGINES.parakeet(str(TINY)) is LOCAL_ENGINES.parakeet(str(TINY))


@pytest.mark.usefixtures("on_this_machine")
def test_a_cancelled_call_leaves_nothing(tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    make(long, *raw(tmp_path / "long.raw", noise(600, -20)), "-ac", "1")

    async def cancel() -> None:
        call = asyncio.create_task(TranscriptionHandler().process_audio_files("1", long, tmp_path / "out"))
        while not any(thread.name.startswith("audit") or "decode" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
            assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(cancel())
    assert not (tmp_path / "out").exists()
    # The engine is there for the next call.
    files = run(TranscriptionHandler().process_audio_files("2", MEMO.path, tmp_path / "out"))
    check(files, "2", tmp_path / "out", "The doctor")


@pytest.mark.usefixtures("on_this_machine")
def test_deepgram_from_this_machine(
    shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("USE_GPU_TRANSCRIPTION")
    with pytest.raises(DropscribeError, match="DEEPGRAM_API_KEY"):
        run(TranscriptionHandler().process_audio_files("1", MEMO.path, tmp_path))
    monkeypatch.setenv("DEEPGRAM_BASE_URL", shared_deepgram_server.url)
    files = run(TranscriptionHandler(deepgram_key).process_audio_files("1", MEMO.path, tmp_path))
    check(files, "1", tmp_path, "The doctor")
    answer = json.loads(files["transcript_json_file"].read_text())
    assert answer["metadata"]["models"] == ["deepgram"]


@pytest.mark.parametrize(("switch", "method"), [("false", {"transcribe-method": "deepgram"}), ("true", None)])
def test_by_a_deployment(
    switch: str,
    method: dict[str, str] | None,
    cloud: LoopbackCloud,
    make_services: MakeServices,
    shared_deepgram_server: FaultyDeepgramServer,
    deepgram_key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    monkeypatch.setattr("dropscribe.job.LOOK_SECONDS", 0.05)
    for name, value in {"UPLOADS_BUCKET": UPLOADS, "STATE_BUCKET": STATE, "USE_GPU_TRANSCRIPTION": switch}.items():
        monkeypatch.setenv(name, value)

    def deliver() -> None:
        uploads = wait_until(lambda: list(cloud.storage.list_blobs(UPLOADS)), "the upload")
        handle(services, Upload(bucket=UPLOADS, name=uploads[0].name, generation=uploads[0].generation))
        assert uploads[0].metadata == method

    async def call() -> TranscriptFiles:
        delivered = asyncio.create_task(asyncio.to_thread(deliver))
        files = await TranscriptionHandler().process_audio_files("7", MEMO.path, tmp_path)
        await delivered
        return files

    check(run(call()), "7", tmp_path, "The doctor")


def test_a_deployment_without_a_transcript_says_why(
    cloud: LoopbackCloud, make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = make_services()
    monkeypatch.setattr("dropscribe.job.LOOK_SECONDS", 0.05)
    monkeypatch.setenv("UPLOADS_BUCKET", UPLOADS)
    (bad := tmp_path / "bad.wav").write_bytes(b"RIFF")

    def deliver() -> None:
        uploads = wait_until(lambda: list(cloud.storage.list_blobs(UPLOADS)), "the upload")
        handle(services, Upload(bucket=UPLOADS, name=uploads[0].name, generation=uploads[0].generation))

    async def call() -> None:
        delivered = asyncio.create_task(asyncio.to_thread(deliver))
        with pytest.raises(NoTranscript):
            await TranscriptionHandler().process_audio_files("7", bad, tmp_path / "out")
        await delivered

    run(call())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("on_this_machine")
@pytest.mark.parametrize("video_id", ["", "../up", "a\\b", "a\nb", "x" * 201])
def test_ids_that_are_no_part_of_a_name(video_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="part of a file's name"):
        run(TranscriptionHandler().process_audio_files(video_id, MEMO.path, tmp_path))


@pytest.mark.usefixtures("on_this_machine")
def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(TranscriptionHandler().process_audio_files("1", tmp_path / "none.wav", tmp_path))
