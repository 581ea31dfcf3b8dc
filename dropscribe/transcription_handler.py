"""`TranscriptionHandler` for programs written for one: one import changes, and everything behind it stays.

from dropscribe import TranscriptionHandler

files = await TranscriptionHandler().process_audio_files("42", "downloads/42.mp3", "transcripts")
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from pydantic import SecretStr

from dropscribe.client import Dropscribe
from dropscribe.local_engines import LOCAL_ENGINES, deepgram_engine
from shared.enums import Method
from shared.errors import DropscribeError, FailureKind
from shared.options.model import UploadOptions
from shared.settings.deepgram import DeepgramSettings
from shared.transcript.csv_files import to_csv
from shared.transcript.deepgram_json import to_deepgram

if TYPE_CHECKING:
    from shared.transcript.model import Transcript

T = TypeVar("T")

SWITCH = "USE_GPU_TRANSCRIPTION"
"""`true`: Parakeet. Anything else, and not set: Deepgram. Source: the pipeline that this takes the place of."""

_TRUE = frozenset({"1", "true", "yes", "on"})


class TranscriptFiles(TypedDict):
    """Where the files are."""

    transcript_json_file: Path
    """`audio_{id}_transcript.json`, in the shape of Deepgram's answer."""
    words_file: Path
    """`audio_{id}_words.csv`: start_time, end_time, word; then speaker and speaker_name, where any is known."""
    paragraphs_file: Path
    """`audio_{id}_paragraphs.csv`: start_time, end_time, text; then the same."""


class TranscriptionHandler:
    """Transcribes by a deployment where there is one, else on this machine.

    A deployment is `deployment`, or the one that UPLOADS_BUCKET and STATE_BUCKET name. USE_GPU_TRANSCRIPTION decides
    between Parakeet and Deepgram: with a deployment `true` leaves the choice to its routing, and on this machine it
    takes the model PARAKEET_MODEL_NAME. The event loop is never blocked, and any number of calls may run at once.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        use_gpu: bool | None = None,
        deployment: Dropscribe | None = None,
        language: str = "en",
    ) -> None:
        """`api_key`: Deepgram's, else DEEPGRAM_API_KEY; a deployment has its own. `use_gpu`: instead of the switch.
        `language`: for Deepgram called from this machine, a BCP 47 tag."""
        self._language = language
        self._use_gpu = os.environ.get(SWITCH, "").strip().lower() in _TRUE if use_gpu is None else use_gpu
        if deployment is None and os.environ.get("UPLOADS_BUCKET") and os.environ.get("STATE_BUCKET"):
            deployment = Dropscribe()
        self._deployment = deployment
        self._api_key = api_key

    async def process_audio_files(
        self, video_id: str, audio_file_path: str | Path, output_dir: str | Path
    ) -> TranscriptFiles:
        """Transcribe a recording and write three files into `output_dir`, which is made; where they are.

        Either all three are there or none: also where the call is cancelled, which ends what runs on this machine
        (a job that a deployment has taken goes on there). Raises FileNotFoundError without such a recording,
        ValueError for an id that cannot be part of a file's name, NoTranscript and DropscribeError with a `reason`
        where there is no transcript, and what Google's client raises.
        """
        names = _names(video_id)
        path, folder = Path(audio_file_path), Path(output_dir)
        if not path.is_file():
            raise FileNotFoundError(f"There is no recording {path}")
        cancelled = threading.Event()
        if self._deployment is None:
            made = await _in_thread(lambda: self._transcribed_here(path, cancelled), cancelled)
        else:
            made = await self._transcribed_there(self._deployment, path, cancelled)
        written = await _in_thread(
            lambda: _write(folder, {names[kind]: data for kind, data in made.items()}), cancelled
        )
        return TranscriptFiles(
            transcript_json_file=written[names["transcript.json"]],
            words_file=written[names["words.csv"]],
            paragraphs_file=written[names["paragraphs.csv"]],
        )

    async def _transcribed_there(
        self, deployment: Dropscribe, path: Path, cancelled: threading.Event
    ) -> Mapping[str, bytes]:
        options = UploadOptions() if self._use_gpu else UploadOptions(method=Method.DEEPGRAM)

        def end_if_cancelled(sent: int, size: int) -> None:
            if cancelled.is_set():
                raise InterruptedError("The upload was cancelled.")

        job = await _in_thread(lambda: deployment.submit(path, options, on_progress=end_if_cancelled), cancelled)
        async for _ in job.events():
            pass
        files = {"transcript.json": "deepgram.json", "words.csv": "words.csv", "paragraphs.csv": "paragraphs.csv"}
        return await _in_thread(lambda: {ours: job.result(theirs) for ours, theirs in files.items()}, cancelled)

    def _transcribed_here(self, path: Path, cancelled: threading.Event) -> Mapping[str, bytes]:
        from dropscribe.local_media import inspected
        from gpu_job.pipeline import transcribe
        from shared.languages.models import PUBLISHED_MODEL

        media = inspected(path)
        with ExitStack() as stack:
            if self._use_gpu:
                model = os.environ.get("PARAKEET_MODEL_NAME") or PUBLISHED_MODEL
                engine = LOCAL_ENGINES.parakeet(model)
            else:
                engine = stack.enter_context(deepgram_engine(self._deepgram_settings(), self._language))
            transcript = transcribe(path, engine=engine, media=media, cancelled=cancelled)
        return _files(transcript)

    def _deepgram_settings(self) -> DeepgramSettings:
        settings = DeepgramSettings()
        if self._api_key is not None:
            settings = settings.model_copy(update={"deepgram_api_key": SecretStr(self._api_key)})
        if settings.deepgram_api_key is None:
            raise DropscribeError(
                f"Deepgram needs a key: set DEEPGRAM_API_KEY, or {SWITCH}=true for Parakeet on this machine.",
                FailureKind.CREDENTIALS,
            )
        return settings


def _names(video_id: str) -> dict[str, str]:
    if not video_id or not video_id.isprintable() or not {"/", "\\"}.isdisjoint(video_id) or len(video_id) > 200:
        raise ValueError(f"{video_id!r} cannot be part of a file's name")
    return {kind: f"audio_{video_id}_{kind}" for kind in ("transcript.json", "words.csv", "paragraphs.csv")}


def _files(transcript: Transcript) -> Mapping[str, bytes]:
    return {
        "transcript.json": json.dumps(to_deepgram(transcript), ensure_ascii=False, allow_nan=False).encode(),
        "words.csv": to_csv("word", transcript.words, transcript.speakers).encode(),
        "paragraphs.csv": to_csv("text", transcript.paragraphs, transcript.speakers).encode(),
    }


def _write(folder: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    """Under other names first: nobody sees half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished: dict[Path, Path] = {}
    try:
        for name, data in files.items():
            part = folder / f".{uuid.uuid4().hex}.part"
            unfinished[part] = folder / name
            part.write_bytes(data)
        for part, path in unfinished.items():
            part.replace(path)
    finally:
        for part in unfinished:
            part.unlink(missing_ok=True)
    return {path.name: path for path in unfinished.values()}


async def _in_thread(work: Callable[[], T], cancelled: threading.Event) -> T:
    """Its result. Cancelled, it tells the work so and waits until that has ended: nothing runs on behind it."""
    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at, whatever it was
        raise
