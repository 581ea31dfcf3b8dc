"""The pipeline: a file in, its transcript out.

    decode -> chunk -> engine -> audit -> assemble

Everything streams and memory is bounded: decoded audio waits in the engine's queue, which blocks the decoder while it
is full; a chunk's audio is freed once it and its neighbours are transcribed and audited.

`transcribe()` does one file. The worker runs the same `FileTranscription` for several files at once over one set of
engines.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import INVALID_SPAN, Span

from gpu_job.asr.hub.names import PUBLISHED_MODEL
from gpu_job.assembly.assemble import Assembly, ChunkResult, transcript_of
from gpu_job.assembly.completeness import NOT_TRANSCRIBED_REASON
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode_channels
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import Account
from gpu_job.audio.decoder_child import DecoderFailed
from gpu_job.audio.decoder_stream import InexactPart
from gpu_job.audio.loudness import loudest
from gpu_job.audio.pace import DecodePace
from gpu_job.audio.samples import seconds
from gpu_job.audio.sounding_track import SoundingTrack
from gpu_job.audit.audit import Audit
from gpu_job.audit.findings import Findings
from gpu_job.audit.queries import AuditRules
from gpu_job.audit.runner import AuditRunner, DeliverTokens, Detector
from gpu_job.channel_audio import ChannelAudio
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.open_engine import open_engine
from gpu_job.engines.task import Task
from gpu_job.engines.unanswered import UnansweredTasks
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.shard_scope import ShardScope
from gpu_job.speakers.diarizer import Diarizer
from gpu_job.speakers.networks import SpeakerNetworks
from gpu_job.transcription_listener import BlockingListener, TranscriptionListener
from gpu_job.vad.detector import SpeechDetector
from shared.costs.shard_plan import Shard
from shared.enums import Channels
from shared.errors import EngineFailed
from shared.media import Media
from shared.options.model import NOTHING_ASKED, UploadOptions
from shared.transcript.confidence import LOW_CONFIDENCE
from shared.transcript.editing.text_options import TextOptions
from shared.transcript.model import Gap, Transcript

AUDIT_THREADS = 2
"""Threads that run the speech detector; its network runs outside the interpreter's lock."""

CANCELLED_SECONDS = 0.2
"""How often a transcription that waits for the rest of its file looks whether it was cancelled."""

_log = logging.getLogger(__name__)

_OTHER_RANGE = "The engine's result was for another range of the audio."
_CANCELLED = "The transcription was cancelled."


@dataclass(frozen=True)
class PipelineOptions:
    """How files become transcripts. The defaults are a deployment's."""

    language: str = "en"
    """BCP 47 tag that the transcript states."""
    low_confidence: float = LOW_CONFIDENCE
    """Mean confidence of the words below which the transcript has a warning."""
    cuts: CutRules = field(default_factory=lambda: CutRules(max_seconds=30.0))
    """Where chunks are cut; CHUNK_SECONDS of docs/configuration.md."""
    audit: AuditRules | None = field(default_factory=AuditRules)
    """None: no audit; the transcript's coverage then says `audited: false`."""
    decoding: DecodeOptions = field(default_factory=DecodeOptions)
    """Limits and number of the decoders; what concerns one file only is set for each."""
    warm_up_seconds: int = 600
    """Before a shard's range, from where on a file is decoded that can be begun anywhere: where the range begins, cuts
    are those of the whole recording by then, and the decoders have been compared a few times."""


@dataclass(frozen=True)
class Pipeline:
    """What all files share: the engines, the speech detector and its threads, and the options."""

    engines: EngineChain
    options: PipelineOptions
    detector: Detector
    audit_threads: Executor
    speakers: SpeakerNetworks = field(default_factory=SpeakerNetworks)
    """Loaded with the first file whose speakers are asked for; they are heard on the audit's threads."""


def transcribe(
    path: str | Path,
    *,
    engine: EngineChain | str | Path = PUBLISHED_MODEL,
    asked: UploadOptions = NOTHING_ASKED,
    media: Media | None = None,
    text: TextOptions | None = None,
    options: PipelineOptions | None = None,
    cancelled: threading.Event | None = None,
) -> Transcript:
    """Transcribe one audio or video file. Blocks until the transcript is there; memory does not grow with the length.

    `engine`: a chain of engines, opened once with `open_engine` for many files; or a model for this file alone: a name
    at NVIDIA or Hugging Face, which is fetched once, a `.nemo` file, or a directory made by `dropscribe prepare-model`.
    `asked`: what is wanted of this file: split channels, for example, which take `media`, or who speaks.
    `media`: what inspection found; without it one decoder works instead of several, and the end of the audio is not
    compared with what the file's header states.
    `text`: how numbers are written, and what becomes of fillers and swear words.
    `cancelled`: set by another thread, it ends the call within seconds, by EngineFailed.
    Raises BadMedia where nothing can be decoded, EngineFailed where no engine is left or every chunk failed, OSError
    where the file cannot be opened, and ValueError for split channels without `media`.
    """
    if asked.channels is Channels.SPLIT and media is None:
        raise ValueError("split channels take `media`, which says how many there are")
    path = Path(path)
    with path.open("rb"):
        pass  # a wrong path is known before a model is loaded
    source = path.absolute().as_uri()
    with ExitStack() as stack:
        if not isinstance(engine, EngineChain):
            engine = stack.enter_context(open_engine(str(engine)))
        threads = ThreadPoolExecutor(AUDIT_THREADS, thread_name_prefix="audit")
        pipeline = Pipeline(engine, options or PipelineOptions(), SpeechDetector(), threads)
        transcription = BlockingListener()
        job_id = hashlib.sha256(source.encode()).hexdigest()[:24]
        # The same file may be transcribed twice at once: each call drops its own chunks only.
        call_id = f"{job_id}-{uuid.uuid4().hex[:8]}"
        file = FileTranscription(
            pipeline,
            call_id,
            transcription,
            media=media,
            asked=asked,
            cancelled=cancelled,
        )

        def check() -> None:
            if cancelled is not None and cancelled.is_set():
                raise EngineFailed(_CANCELLED)
            file.fail_lost_chunks()

        try:
            file.feed(path)
            transcription.wait(engine, on_poll=check)
            return file.assemble(source, job_id, text=text)
        finally:
            file.cancel()
            engine.drop(call_id)
            # After an error, or Ctrl-C, nobody waits for the rest of the audit.
            threads.shutdown(wait=False, cancel_futures=True)


class FileTranscription:
    """One file on its way to a transcript.

    The feeding thread decodes, cuts and submits; engines deliver results on their threads; the audit submits windows
    to be transcribed again. Complete when every chunk has its result and the audit is done.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        job_id: str,
        listener: TranscriptionListener,
        *,
        media: Media | None = None,
        asked: UploadOptions = NOTHING_ASKED,
        stays_local: bool = False,
        stored: Mapping[tuple[int, int, int], ChunkResult] | None = None,
        shard: Shard | None = None,
        missing: Callable[[float], str | None] = lambda start: None,
        span: Span = INVALID_SPAN,
        cancelled: threading.Event | None = None,
    ) -> None:
        """`asked`: what the upload's owner wants. `stays_local`: whether no audio may be sent to an API.
        `stored`: results of an earlier attempt, by channel, first and last sample: such chunks are not submitted again.
        `shard`: only chunks that begin in it are transcribed, nothing is audited, and there is no transcript.
        `missing`: why a chunk that begins at this time, in seconds, and is not stored, is not transcribed either; None:
        it is. `cancelled`: set, it works as `cancel`."""
        self.job_id = job_id
        self.decode_pace = DecodePace()
        self._pipeline = pipeline
        self._listener = listener
        self._media = media
        self._asked = asked
        self._channels = asked.streams(media) if media is not None else 1
        self._stays_local = stays_local
        self._stored = stored or {}
        options = pipeline.options
        self._scope = ShardScope.of(shard, media, asked.channels, options.cuts, options.warm_up_seconds)
        self._reused: set[tuple[int, int, int]] = set()
        self._missing = missing
        self._span = span
        self._lock = threading.Lock()
        self._assembly = Assembly()
        self._decoded_seconds = 0.0
        self._decoded_frames = 0
        """As the decoder counted them, when it came to the end."""
        self._unanswered = UnansweredTasks(pipeline.engines, job_id)
        self._cancelled = cancelled or threading.Event()
        self._diarizer: Diarizer | None = None
        if asked.speakers is not None and asked.tells_speakers_apart and shard is None:
            threads, is_cancelled = pipeline.audit_threads, self._cancelled.is_set
            self._diarizer = Diarizer(pipeline.speakers, threads, asked.speakers, self.report_if_complete, is_cancelled)
        rules = options.audit if shard is None else None
        self._audits = [
            AuditRunner(Audit(rules), pipeline.detector, pipeline.audit_threads, _ChannelAudit(self, channel))
            for channel in range(self._channels if rules is not None else 0)
        ]

    # Feeding: decode, chunk, submit.

    def feed(self, path: Path, arriving: ArrivingFile | None = None) -> float:
        """Decode the file, cut it and submit every chunk; blocks while the engine's queue is full.

        `arriving`: the file, where it is still fetched; it is complete only once all of it was checked.
        Of a shard's file, what is behind the shard's last chunk is not decoded; nor what lies far before the first one,
        where `is_fed_in_part`: such chunks carry a digest of their samples, and count only where these are the whole
        file's. The answer is the seconds of audio decoded. What cannot be read becomes a gap.
        Raises BadMedia or DecoderFailed where nothing can be decoded, EngineFailed where no engine takes chunks or the
        transcription was cancelled, and what `arriving.wait` raises.
        """
        if self._scope.part is not None:
            try:
                return self._feed(path, arriving)
            except InexactPart as error:
                _log.info("decoding a shard from the file's start", extra={"fields": {"reason": str(error)}})
                self._scope.part = None
                if arriving is not None:
                    arriving.fetch_all()
        return self._feed(path, arriving)

    @property
    def is_fed_in_part(self) -> bool:
        """Whether it is a shard for which only its part of the file is to be read."""
        return self._scope.part is not None

    def _feed(self, path: Path, arriving: ArrivingFile | None) -> float:
        cuts, part = self._pipeline.options.cuts, self._scope.part
        channels = [ChannelAudio(cuts, part.start if part else 0) for _ in range(self._channels)]
        decoded, is_behind = 0, False
        with self._pipeline.engines.feeding(), closing(self._blocks(path, arriving)) as blocks:
            try:
                for block in blocks:
                    if self._cancelled.is_set():
                        # No chunk may say so: a file that is silent, or was transcribed before, submits none.
                        raise EngineFailed(_CANCELLED)
                    decoded += block.shape[1]
                    self._decoded_seconds = seconds(decoded + (part.start if part else 0))
                    began = time.monotonic()
                    is_behind = True
                    for number, (channel, samples) in enumerate(zip(channels, block, strict=True)):
                        self._submit(number, channel.add(samples))
                        is_behind = is_behind and self._scope.is_behind(channel.position)
                    self.decode_pace.add(seconds(block.shape[1]), time.monotonic() - began)
                    if self._diarizer is not None:
                        self._diarizer.add(block[0])
                    if is_behind:
                        break
            except DecoderFailed as error:
                if decoded == 0:
                    raise
                # What came until then keeps its words; the rest of the file is a gap that says why.
                self._add_gap(self._missing_rest(seconds(decoded), error))
            while arriving is not None and not arriving.wait(CANCELLED_SECONDS) and part is None:
                if self._cancelled.is_set():
                    raise EngineFailed(_CANCELLED)
            if part is not None and decoded == part.frames and not is_behind:
                raise InexactPart("the cut behind the shard was not reached")
            if self._decoded_frames > decoded and part is None:
                lost = Gap(start=seconds(decoded), end=seconds(self._decoded_frames), reason=NOT_TRANSCRIBED_REASON)
                self._add_gap(lost)
            for number, channel in enumerate(channels):
                self._submit(number, channel.end())
        with self._lock:
            # Of a shard nobody asks: its upload is heard once more, as a whole.
            audible = [channel.audible.ranges for channel in channels] if self._scope.shard is None else []
            self._assembly.end(decoded, audible, loudest(channel.loudness for channel in channels))
        for audit in self._audits:
            audit.end()
        if self._diarizer is not None:
            self._diarizer.end()
        self.report_if_complete()
        return seconds(decoded)

    def _blocks(self, path: Path, arriving: ArrivingFile | None) -> Generator[NDArray[np.float32]]:
        """Blocks of shape [channels, T]."""
        options = replace(
            self._pipeline.options.decoding,
            media=self._media,
            part=self._scope.part,
            arrival=None if arriving is None else arriving.map_path,
            on_damage=self._add_gap,
            on_account=self._take_account,
        )
        if self._channels > 1:
            yield from decode_channels(path, self._channels, options)
            return
        track = SoundingTrack(path, options)
        for block in track.blocks():
            self._media = track.media
            yield block[np.newaxis]

    def _take_account(self, account: Account) -> None:
        self._decoded_frames = account.frames

    def _submit(self, channel: int, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            if not self._scope.takes(channel, chunk):
                continue
            with self._lock:
                self._assembly.expect(chunk.start, chunk.end)
            if self._audits:
                self._audits[channel].cut(chunk)
            place = (channel, chunk.start, chunk.end)
            stored = self._stored.get(place)
            if stored is not None and stored.audio is not None and stored.audio != chunk.digest():
                stored = None
            if stored is not None and (stored.channel, stored.start, stored.end) == place:
                self._reused.add(place)
                self._add(stored)
            elif (missing := self._missing(seconds(chunk.start))) is not None:
                engine = self._pipeline.engines.engine
                self._add(ChunkResult(chunk.start, chunk.end, engine, failure=missing, channel=channel))
            else:
                self._unanswered.submit(self._task(chunk, channel))

    def _task(self, chunk: Chunk, channel: int) -> Task:
        digest = None if self._scope.part is None else chunk.digest()

        def delivered(result: ChunkResult) -> None:
            if (result.channel, result.start, result.end) != (channel, chunk.start, chunk.end):
                result = ChunkResult(chunk.start, chunk.end, result.engine, failure=_OTHER_RANGE, channel=channel)
            self._delivered(result if digest is None else replace(result, audio=digest))

        return Task(
            self.job_id,
            chunk,
            delivered,
            channel,
            self._stays_local,
            self._asked,
            span=self._span,
            is_cancelled=self._cancelled.is_set,
            leave_open=self._listener.broke,
        )

    def _missing_rest(self, decoded_seconds: float, error: DecoderFailed) -> Gap:
        """The stretch behind a dead decoder's last sample, to the end that the header states."""
        stated = self._media.duration_seconds if self._media else 0.0
        return Gap(start=decoded_seconds, end=max(decoded_seconds, stated), reason=error.reason)

    def cancel(self) -> None:
        """Have `feed` and the audit end soon. Engines begin no more of its chunks; results are still taken."""
        self._cancelled.set()

    # Results: from the engines' threads, and from the audit.

    def _delivered(self, result: ChunkResult) -> None:
        """What goes wrong here is this file's trouble, not the engine's."""
        try:
            if result.failure is None:
                self._listener.chunk_transcribed(result)
            self._add(result)
            self.report_if_complete()
        except Exception as error:
            self._listener.broke(error)

    def _add(self, result: ChunkResult) -> None:
        with self._lock:
            self._assembly.add(result)
        if self._audits:
            self._audits[result.channel].transcribed(result.start, result.tokens, failed=result.failure is not None)

    def _add_gap(self, gap: Gap) -> None:
        with self._lock:
            self._assembly.add_gap(gap)

    def transcribe_window(self, channel: int, window: Chunk, deliver: DeliverTokens) -> None:
        """For the audit: transcribe a window again. Blocks while the queue is full. Raises EngineFailed."""
        if self._cancelled.is_set():
            raise EngineFailed(_CANCELLED)

        def transcribed(result: ChunkResult) -> None:
            try:
                deliver(result.tokens)
            except Exception as error:
                self._listener.broke(error)

        engines, task = self._pipeline.engines, self._task(window, channel)
        try:
            self._unanswered.submit(replace(task, deliver=transcribed, urgent=True))
        except EngineFailed as error:
            if not engines.is_available:
                raise
            if engines.process_failure is not None:
                self._listener.broke(error)
                return
            # Only the engines that may have this file's audio are gone: no other attempt is coming.
            deliver(())

    def fail_lost_chunks(self) -> None:
        """To be called now and then: chunks that no engine has any more become gaps."""
        if not self._cancelled.is_set():
            self._unanswered.fail_lost()

    def audit_broke(self, error: Exception) -> None:
        """For the audit: it will not be done."""
        self._listener.broke(error)

    def report_if_complete(self) -> None:
        """Tell the listener where this was the last thing missing: a result, the end of the file, or the audit."""
        if self.is_complete():
            self._listener.complete()

    def is_complete(self) -> bool:
        """Whether every chunk has its result, no more will be cut, the audit is done and the speakers are heard."""
        with self._lock:
            has_results = self._assembly.is_complete
        knows_speakers = self._diarizer is None or self._diarizer.is_done
        return has_results and knows_speakers and all(audit.is_done for audit in self._audits)

    # The transcript.

    def assemble(
        self, source: str, job_id: str, speaker_names: Sequence[str] = (), text: TextOptions | None = None
    ) -> Transcript:
        """The transcript of a complete file, which states these. `speaker_names`: by who is heard first. `text`: how
        its words are to be written.

        Raises EngineFailed where every chunk failed."""
        options, model = self._pipeline.options, self._pipeline.engines.model
        # Without the lock, for which a heartbeat would wait: a complete file's assembly changes no more.
        return transcript_of(
            self._assembly,
            self.findings(),
            model,
            job_id=job_id,
            source=source,
            language=options.language,
            low_confidence=options.low_confidence,
            tracks=self._media.transcript_tracks() if self._media else (),
            turns=None if self._diarizer is None else self._diarizer.turns(),
            speaker_names=speaker_names,
            text=text,
        )

    def findings(self) -> list[Findings]:
        """What the audit of each channel found. Read it when the file is complete."""
        if not self._audits:
            return [Findings(audited=False) for _ in range(self._channels)]
        return [audit.findings for audit in self._audits]

    # Progress.

    def results(self) -> list[ChunkResult]:
        """What arrived so far, by channel and time."""
        with self._lock:
            return self._assembly.results()

    def is_stored(self, result: ChunkResult) -> bool:
        """Whether it is an earlier attempt's."""
        return (result.channel, result.start, result.end) in self._reused

    def decoded_seconds(self) -> float:
        """Until where audio is decoded and cut; it runs ahead of what is transcribed by the engine's queue. Of a shard,
        too, it counts from the file's start."""
        return self._decoded_seconds

    def transcribed_seconds(self) -> float:
        """Audio that has its result; with split channels, each counts its share."""
        return sum(seconds(result.end - result.start) for result in self.results()) / self._channels

    def expected_seconds(self) -> float:
        """Audio that engines will have had in the end, the sum of all channels; estimated until all is cut."""
        stated = self._media.duration_seconds if self._media else None
        if self._scope.shard is not None and stated is not None:
            return self._scope.shard.seconds_of(stated) * self._channels
        with self._lock:
            return self._assembly.expected_seconds(stated, self._channels)


@dataclass(frozen=True)
class _ChannelAudit:
    """What one channel's audit asks of its file."""

    file: FileTranscription
    channel: int

    def transcribe_window(self, window: Chunk, deliver: DeliverTokens) -> None:
        self.file.transcribe_window(self.channel, window, deliver)

    def done(self) -> None:
        self.file.report_if_complete()

    def broke(self, error: Exception) -> None:
        self.file.audit_broke(error)
