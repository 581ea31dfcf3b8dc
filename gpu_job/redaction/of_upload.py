"""The redaction of a job's result: its transcript, and the recording, which is fetched once more for it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.cloud.storage import Client

from gpu_job.fetch.upload import fetch
from gpu_job.redaction.redacted_recording import FILE_NAME, Hearing, NotRedacted, Redactable, redact_recording
from shared.errors import DropscribeError, EngineFailed
from shared.media import Media, Upload
from shared.options.model import UploadOptions
from shared.state.job_result import JobResult
from shared.transcript.editing.redaction import (
    RedactedWords,
    redact_transcript,
    with_redacted_audio,
    without_redacted_audio,
)
from shared.transcript.model import RedactedAudio, Transcript, WarningCode

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedAgain:
    """An upload that was transcribed, and how its recording is had once more."""

    client: Client
    upload: Upload
    media: Media
    folder: Path
    """Whose room the upload has until its job ends."""
    timeout_seconds: float
    max_unpacked_bytes: int

    def fetch(self, path: Path) -> None:
        """Raises as `gpu_job.fetch.upload.fetch` does."""
        fetch(self.client, self.upload, path, self.timeout_seconds, self.max_unpacked_bytes)


def redacted_result(
    result: JobResult,
    options: UploadOptions,
    recording: FetchedAgain,
    hearing: Hearing,
    store: Callable[[Path], None],
    *,
    margin_seconds: float,
    keeps_unredacted: bool = False,
) -> JobResult:
    """The result with its transcript redacted. `store`: takes the redacted recording, where one is asked for.
    `keeps_unredacted`: whether the transcript before that is to be stored, too.

    Where none can be made the transcript says why. Raises EngineFailed where no engine of this process can listen to
    it, and the error of a service that may answer another time.
    """
    if result.transcript is None:
        return result
    request = options.redaction
    redacted, words = redact_transcript(result.transcript, request)
    if request.makes_audio:
        try:
            audio = _recording(result.transcript, words, options, recording, hearing, store, margin_seconds)
            redacted = with_redacted_audio(redacted, audio)
        except EngineFailed:
            raise
        except DropscribeError as error:
            _log.warning("there is no redacted recording", extra={"fields": {"reason": error.reason}})
            redacted = without_redacted_audio(redacted, error.reason)
    unredacted = result.transcript if keeps_unredacted else None
    return replace(result, transcript=redacted, unredacted=unredacted)


def _recording(
    transcript: Transcript,
    words: Sequence[RedactedWords],
    options: UploadOptions,
    recording: FetchedAgain,
    hearing: Hearing,
    store: Callable[[Path], None],
    margin_seconds: float,
) -> RedactedAudio:
    if any(warning.code is WarningCode.ESTIMATED_TIMES for warning in transcript.warnings):
        raise NotRedacted("The model gives no word times.")
    with tempfile.TemporaryDirectory(prefix="dropscribe-", dir=recording.folder) as folder:
        path, target = Path(folder) / "upload", Path(folder) / FILE_NAME
        recording.fetch(path)
        redactable = Redactable(path, recording.media, options, words, transcript.coverage.gaps)
        audio = redact_recording(redactable, hearing, target, margin_seconds)
        store(target)
    return audio
