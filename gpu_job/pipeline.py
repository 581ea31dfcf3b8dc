"""The pipeline: a file in, its transcript out.

    decode -> chunk -> engine -> audit -> language guard, second opinions -> assemble

Where an upload asks who speaks, `speakers` hears the recording beside that, from decoding on. Key terms go with each
chunk to the engine; how words are written, and their languages, are assembly's.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.assembly.assemble import ChunkResult, coverage_of, transcript_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decoder_stream import InexactPart
from gpu_job.audio.loudness import loudest
from gpu_job.audio.pace import DecodePace
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.audit.findings import Findings, merged_findings
from gpu_job.audit.runner import DeliverTokens
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.open_engine import open_engine
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.speakers.voices import known_voices
from gpu_job.transcription.channel_audio import ChannelAudio
from gpu_job.transcription.channel_audits import ChannelAudits
from gpu_job.transcription.chunk_results import ChunkResults
from gpu_job.transcription.chunk_tasks import ChunkTasks, TaskOptions
from gpu_job.transcription.file_audio import FileAudio
from gpu_job.transcription.file_language import FileLanguage, first_model
from gpu_job.transcription.file_speakers import FileSpeakers
from gpu_job.transcription.listener import BlockingListener, TranscriptionListener
from gpu_job.transcription.opinions.file_opinions import FileOpinions
from gpu_job.transcription.setup import AUDIT_THREADS, FileRequest, Pipeline, PipelineOptions
from gpu_job.transcription.shards.fed_shard import FedShard, hears_the_same
from gpu_job.transcription.shards.found import FoundInShard
from gpu_job.transcription.shards.joined import JoinedFacts, NotJoinable
from gpu_job.transcription.shards.joined_feed import JoinedFeed
from gpu_job.vad.detector import SpeechDetector
from shared.costs.shard_plan import Shard
from shared.enums import Channels
from shared.errors import EngineFailed
from shared.languages.models import PUBLISHED_MODEL
from shared.media import Media
from shared.options.model import NOTHING_ASKED, UploadOptions
from shared.transcript.editing.redaction import redact_transcript, without_redacted_audio
from shared.transcript.model import Gap, Transcript, with_keyterms
from shared.transcript.quality import is_below, with_coverage_warning
from shared.transcript.speakers import with_speaker_warning
from shared.voices.model import KeptVoice

_log = logging.getLogger(__name__)

_NO_RECORDING = "transcribe() redacts the text alone."

_CANCELLED = "The transcription was cancelled."


def transcribe(
    path: str | Path,
    *,
    engine: EngineChain | str | Path = PUBLISHED_MODEL,
    asked: UploadOptions = NOTHING_ASKED,
    media: Media | None = None,
    options: PipelineOptions | None = None,
    cancelled: threading.Event | None = None,
) -> Transcript:
    """Transcribe one audio or video file. Blocks until the transcript is there; memory does not grow with the length.

    `engine`: a chain of engines, opened once with `open_engine` for many files; or a model for this file alone: a name
    at NVIDIA or Hugging Face, which is fetched once, a `.nemo` file, or a directory made by `dropscribe prepare-model`.
    `asked`: what is wanted of this file: split channels, for example, which take `media`, or who speaks. The transcript
    is redacted; a redacted recording is the worker's to make, and a warning says so where one is wanted.
    `media`: what inspection found; without it one decoder works instead of several, and the end of the audio is not
    compared with what the file's header states.
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
        request = FileRequest(media, asked, cancelled=cancelled or threading.Event())
        file = FileTranscription(pipeline, call_id, transcription, request)
        try:
            file.feed(path)
            transcription.wait(engine, on_poll=file.check)
            return _redacted(file.assemble(source, job_id), asked)
        finally:
            file.cancel()
            engine.drop(call_id)
            # After an error, or Ctrl-C, nobody waits for the rest of the audit.
            threads.shutdown(wait=False, cancel_futures=True)


def _redacted(transcript: Transcript, asked: UploadOptions) -> Transcript:
    """Without the words that are to be redacted, and with a warning where a recording without them is wanted, too."""
    redacted, _ = redact_transcript(transcript, asked.redaction)
    return without_redacted_audio(redacted, _NO_RECORDING) if asked.redaction.makes_audio else redacted


class FileTranscription:
    """One file on its way to a transcript.

    The feeding thread decodes, cuts and submits; engines deliver results on their threads; the audit submits windows
    to be transcribed again. Complete when every chunk has its result and the audit is done.
    """

    def __init__(
        self, pipeline: Pipeline, job_id: str, listener: TranscriptionListener, request: FileRequest | None = None
    ) -> None:
        """`request`: None: nothing is known of the file, and nothing special wanted."""
        request = request or FileRequest()
        self.job_id = job_id
        self.decode_pace = DecodePace()
        self._pipeline = pipeline
        self._listener = listener
        self._request, self._asked = request, request.asked
        self._cancelled = request.cancelled
        self._media = request.media
        self._channels = self._asked.streams(request.media) if request.media is not None else 1
        self._decoded_seconds = 0.0
        engines, is_cancelled = pipeline.engines, self._cancelled.is_set
        self._shard = FedShard(request, pipeline.options, self._channels)
        self._joinable = request.shards
        """None once that was tried."""
        self._shard_findings: Sequence[Findings] = ()
        """Of a file that is not decoded again, what its shards' audits found."""
        self._results = ChunkResults(self._channels, request.stored)
        model = first_model(pipeline, request)
        task_options = TaskOptions(request.stays_local, self._asked, request.span, is_cancelled, model)
        self._tasks = ChunkTasks(engines, job_id, listener, self._delivered, task_options)
        self._language = FileLanguage(
            pipeline,
            request,
            self._results,
            self._tasks,
            deliver=self._delivered,
            on_done=self.report_if_complete,
            check=self._check_engines,
        )
        self._speakers = FileSpeakers(pipeline, request, self.report_if_complete)
        self._opinions = FileOpinions(
            pipeline,
            request,
            submit=self._tasks.submit_elsewhere,
            is_incomplete=self._is_incomplete,
            engine_at=self._results.engine_at,
            on_done=self.report_if_complete,
        )
        self._audits = self._new_audits(is_audited=request.shard is None or self._shard.is_noted)

    def _new_audits(self, *, is_audited: bool = True) -> ChannelAudits:
        return ChannelAudits(
            self._pipeline.options.audit if is_audited else None,
            self._channels,
            self._pipeline.detector,
            self._pipeline.audit_threads,
            submit_window=self.transcribe_window,
            on_unheard=self._opinions.unheard,
            on_done=self.report_if_complete,
            on_broken=self._listener.broke,
        )

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
        if self._feed_joined(lambda feed: feed.run(path, arriving, self._part)):
            return 0.0
        if self.is_fed_in_part:
            try:
                return self._feed(path, arriving)
            except InexactPart as error:
                _log.info("decoding a shard from the file's start", extra={"fields": {"reason": str(error)}})
                if not self._shard.begin_anew(round(self._decoded_seconds * SAMPLE_RATE)):
                    self._audits = self._new_audits(is_audited=False)
                if arriving is not None:
                    arriving.fetch_all()
        return self._feed(path, arriving)

    @property
    def is_fed_in_part(self) -> bool:
        """Whether it is a shard for which only its part of the file is to be read."""
        return self._shard.scope.part is not None

    def _feed(self, path: Path, arriving: ArrivingFile | None) -> float:
        options, shard = self._pipeline.options, self._shard
        audio = FileAudio(
            options.decoding,
            self._media,
            self._channels,
            shard.scope.part,
            shard.shard,
            counts_packets=shard.is_noted,
            on_gap=self._add_gap,
            check=self._raise_if_cancelled,
        )
        channels = [ChannelAudio(options.cuts, audio.begin) for _ in range(self._channels)]
        self._speakers.begin(audio.begin, counts=shard.shard is None or shard.is_noted)
        is_left = False
        engines = self._pipeline.engines
        with engines.feeding(), audio.counting(path, arriving), closing(audio.blocks(path, arriving)) as blocks:
            for block in blocks:
                self._media, self._decoded_seconds = audio.media, seconds(audio.position)
                began = time.monotonic()
                for number, (channel, samples) in enumerate(zip(channels, block, strict=True)):
                    self._submit(number, channel.add(samples))
                self.decode_pace.add(seconds(block.shape[1]), time.monotonic() - began)
                self._speakers.add(block[0])
                if is_left := shard.is_left(channels) and self._speakers.has_all:
                    break
            audio.end(arriving, is_behind=shard.is_behind(channels))
            is_left = is_left or audio.is_cut_short
            for number, channel in enumerate(channels):
                self._submit(number, channel.end(), is_certain=not is_left)
            self._language.decide()
        audible = [channel.audible.ranges for channel in channels]
        loudness = loudest(channel.loudness for channel in channels)
        shard.end(audio, audible, loudness, is_left=is_left)
        # Of a shard nobody asks where it sounds but who joins it with the others.
        self._results.end(audio.frames, audible if shard.shard is None else [], loudness)
        self._audits.end(is_followed=shard.shard is not None and shard.shard.end is not None)
        self._language.end()
        self._speakers.end(is_left=is_left)
        self.report_if_complete()
        return seconds(audio.frames)

    def feed_stored(self, is_upload: Callable[[Mapping[int, int]], bool]) -> bool:
        """Feed a file whose shards are done from what they found, where nothing more is to be read of it; False where
        it is needed. `is_upload`: whether these are the CRC32C of parts of the upload. Raises what that raises, and
        EngineFailed where the transcription was cancelled."""
        return self._feed_joined(lambda feed: feed.run_stored(is_upload))

    def _feed_joined(self, run: Callable[[JoinedFeed], JoinedFacts | None]) -> bool:
        """Feed a file whose shards are done from what they found; False where it has to be decoded again: also where
        chunks of it are to be heard again because of their language, for which no shard keeps its audio."""
        shards, self._joinable = self._joinable, None
        if shards is None or self._media is None or not hears_the_same(self._media, self._channels):
            return False
        if self._language.would_ask(self._request.stored.values()):
            _log.info("decoding a divided upload once more", extra={"fields": {"reason": "chunks in another language"}})
            return False
        audio = replace(self._pipeline.options.decoding, media=self._media)
        feed = JoinedFeed(
            shards,
            audio,
            self._channels,
            self._results,
            self._audits,
            self._speakers,
            self._opinions,
            self._listener,
            self._raise_if_cancelled,
        )
        try:
            facts = run(feed)
        except NotJoinable as error:
            _log.info("decoding a divided upload once more", extra={"fields": {"reason": str(error)}})
            self._opinions.begin()
            self._audits = self._new_audits()
            return False
        if facts is None:
            self._joinable = shards
            return False
        self._shard_findings = facts.findings
        self._language.leave()
        self._decoded_seconds = seconds(facts.frames)
        self._audits.end()
        self.report_if_complete()
        return True

    def _part(self, shard: Shard, listener: TranscriptionListener) -> FileTranscription:
        """One of its shards, which is heard again."""
        request = replace(self._request, media=self._media, shard=shard, shards=None, model=None)
        return FileTranscription(self._pipeline, self.job_id, listener, request)

    def shard_facts(self) -> FoundInShard | None:
        """What a complete shard found beside its results; None where that says nothing."""
        if not self.is_complete():
            return None
        return self._shard.found(
            self._audits.findings(), self.results(), self._speakers.packed(), self._opinions.packed()
        )

    @property
    def is_unjoinable(self) -> bool:
        """Whether what a complete shard found says nothing, and would not where it was heard again."""
        return self._shard.is_unjoinable

    def _add_gap(self, gap: Gap) -> None:
        self._shard.lose()
        self._results.add_gap(gap)

    def _submit(self, channel: int, chunks: Iterable[Chunk], *, is_certain: bool = True) -> None:
        """`is_certain`: whether the chunks would be the same with more audio behind them."""
        for chunk in chunks:
            is_neighbour = self._shard.is_first(channel)
            if not self._shard.takes(channel, chunk, is_certain=is_certain):
                continue
            self._results.expect(chunk)
            self._audits.cut(channel, chunk, is_neighbour=is_neighbour)
            if self._language.takes(channel, chunk):
                continue
            if (stored := self._results.stored(channel, chunk)) is not None:
                self._add(chunk, stored)
            elif (missing := self._request.missing(seconds(chunk.start))) is not None:
                engine = self._pipeline.engines.engine
                self._add(chunk, ChunkResult(chunk.start, chunk.end, engine, failure=missing, channel=channel))
            else:
                self._tasks.submit(channel, chunk, chunk.digest() if self.is_fed_in_part else None)

    def cancel(self) -> None:
        """Have `feed` and the audit end soon. Engines begin no more of its chunks; results are still taken."""
        self._cancelled.set()

    def _raise_if_cancelled(self) -> None:
        # No chunk may say so: a file that is silent, or was transcribed before, submits none.
        if self._cancelled.is_set():
            raise EngineFailed(_CANCELLED)

    # Results: from the engines' threads, and from the audit.

    def _delivered(self, chunk: Chunk, result: ChunkResult) -> None:
        result = self._language.marked(result)
        if result.failure is None:
            self._listener.chunk_transcribed(result)
        self._add(chunk, result)
        self.report_if_complete()

    def _add(self, chunk: Chunk, result: ChunkResult) -> None:
        self._opinions.add(chunk, result)
        self._language.add(chunk, result)
        self._results.add(result)
        self._audits.transcribed(result)

    def transcribe_window(self, channel: int, window: Chunk, deliver: DeliverTokens) -> None:
        """For the audit: transcribe a window again. Blocks while the queue is full. Raises EngineFailed."""
        self._raise_if_cancelled()
        self._tasks.submit_window(channel, window, deliver)

    def _is_incomplete(self) -> bool:
        """Of a file whose chunks and audit are done: whether less of what is said has words than was asked for."""
        if self._asked.min_coverage is None:
            return False
        return is_below(coverage_of(self._results.assembly, self.findings()).share, self._asked.min_coverage)

    def check(self) -> None:
        """To be called now and then by who waits. Raises EngineFailed where it was cancelled."""
        self._raise_if_cancelled()
        self.fail_lost_chunks()

    def _check_engines(self) -> None:
        self.check()
        engines = self._pipeline.engines
        if not engines.is_available:
            raise engines.failure or EngineFailed("The engine was stopped.")

    def fail_lost_chunks(self) -> None:
        """To be called now and then: chunks that no engine has any more become gaps."""
        self._tasks.fail_lost()

    def report_if_complete(self) -> None:
        """Tell the listener where this was the last thing missing: a result, the end of the file, or the audit."""
        if self._results.is_complete and self._audits.is_done:
            self._language.ask_once()
            self._opinions.ask_once()
        if self.is_complete():
            self._listener.complete()

    @property
    def has_results(self) -> bool:
        """Whether every chunk has its result, and no more will be cut."""
        return self._results.is_complete

    def is_complete(self) -> bool:
        """Whether every chunk has its result, no more will be cut, the audit is done, the speakers are heard, and so is
        what another engine says, and what was in another language."""
        return (
            self.has_results
            and self._audits.is_done
            and self._speakers.is_done
            and self._language.is_done
            and self._opinions.is_done
        )

    # The transcript.

    def assemble(
        self, source: str, job_id: str, speaker_names: Sequence[str] = (), kept_voices: Sequence[KeptVoice] = ()
    ) -> Transcript:
        """The transcript of a complete file, which states these. `speaker_names`: by who is heard first. `kept_voices`:
        whom the other speakers may be.

        Raises EngineFailed where every chunk failed."""
        options, engines = self._pipeline.options, self._pipeline.engines
        turns = self._speakers.turns()
        voices = {number: voice for number, voice in self._speakers.voices.items() if number >= len(speaker_names)}
        # Without its lock, for which a heartbeat would wait: a complete file's assembly changes no more.
        transcript = transcript_of(
            self._results.assembly,
            self.findings(),
            lambda used: engines.model(used, self.speech_model),
            job_id=job_id,
            source=source,
            language=self._language.stated,
            low_confidence=options.low_confidence,
            tracks=self._media.transcript_tracks() if self._media else (),
            turns=turns,
            speaker_names=speaker_names,
            known_voices=known_voices(voices, kept_voices, taken=speaker_names),
            text=self._asked.text,
            redaction=self._asked.redaction,
            find_languages=self._language.finder,
            heard_again=self._opinions.heard,
            flips=self._language.flips,
        )
        transcript = with_speaker_warning(transcript, self._asked.least_speakers)
        transcript = with_coverage_warning(transcript, self._asked.min_coverage)
        support = engines.keyterm_support(self._asked.keyterms, self.speech_model)
        return with_keyterms(transcript, self._asked.keyterms, support)

    @property
    def speakers(self) -> FileSpeakers:
        """Who speaks, where that is heard."""
        return self._speakers

    def findings(self) -> list[Findings]:
        """What the audit of each channel found. Read it when the file is complete."""
        found = self._audits.findings()
        if not self._shard_findings:
            return found
        return [merged_findings(pair) for pair in zip(self._shard_findings, found, strict=True)]

    # Progress.

    def results(self) -> list[ChunkResult]:
        """What arrived so far, by channel and time."""
        return self._results.all()

    @property
    def speech_model(self) -> SpeechModel | None:
        """What it is heard with; None: with the engine's own model."""
        return self._language.model

    def is_stored(self, result: ChunkResult) -> bool:
        """Whether it is an earlier attempt's."""
        return self._results.is_stored(result)

    def decoded_seconds(self) -> float:
        """Until where audio is decoded and cut; it runs ahead of what is transcribed by the engine's queue. Of a shard,
        too, it counts from the file's start."""
        return self._decoded_seconds

    def transcribed_seconds(self) -> float:
        """Audio that has its result; with split channels, each counts its share."""
        return self._results.transcribed_seconds()

    def expected_seconds(self) -> float:
        """Audio that engines will have had in the end, the sum of all channels; estimated until all is cut."""
        stated = self._media.duration_seconds if self._media else None
        if self._shard.shard is not None and stated is not None:
            return self._shard.shard.seconds_of(stated) * self._channels
        return self._results.expected_seconds(stated)
