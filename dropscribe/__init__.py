"""dropscribe in a program: submit recordings to a deployment, follow their jobs, read their transcripts.

    from dropscribe import Dropscribe

    job = Dropscribe("my-project").submit("call.mp3")
    print(job.transcript().text)

`TranscriptionHandler` takes the place of handlers with `process_audio_files`. What transcribes on this machine, without
a deployment, is `from gpu_job import transcribe`.
"""

from __future__ import annotations

from dropscribe.client import Dropscribe
from dropscribe.errors import NoTranscript, NotSubmitted, UnknownJob
from dropscribe.job import Events, Job
from dropscribe.outcomes import outcomes
from dropscribe.transcription_handler import TranscriptFiles, TranscriptionHandler
from shared.enums import Channels, Method, Outcome, Privacy
from shared.errors import DropscribeError
from shared.messages import TerminalMessage
from shared.operations.erase_unreadable import ErasureRefused
from shared.operations.erasure_records import ErasureReceipt
from shared.operations.rerun import RerunRefused
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount
from shared.progress.model import Progress, Stage
from shared.transcript.model import Transcript, Word

__all__ = [
    "Channels",
    "Dropscribe",
    "DropscribeError",
    "ErasureReceipt",
    "ErasureRefused",
    "Events",
    "Job",
    "Method",
    "NoTranscript",
    "NotSubmitted",
    "Outcome",
    "Privacy",
    "Progress",
    "RerunRefused",
    "SpeakerCount",
    "Stage",
    "TerminalMessage",
    "Transcript",
    "TranscriptFiles",
    "TranscriptionHandler",
    "UnknownJob",
    "UploadOptions",
    "Word",
    "outcomes",
]
