"""How long a job takes for an upload, part by part: by its media, its options and learned speeds. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shared.costs.bill import Phase
from shared.costs.gathering import GatherRules, Queue
from shared.costs.language_trial import NO_TRIAL, HeardBeside
from shared.costs.launch_plan import LaunchRules
from shared.costs.prices import JobShape, PriceBook
from shared.costs.shard_plan import NEVER_DIVIDED, ShardRules
from shared.costs.speeds import Speeds
from shared.media import Media

ONE_EXECUTION = LaunchRules(max_executions=1, drain_seconds=math.inf)


@dataclass(frozen=True)
class PricingContext:
    """What quotes are made from: prices, speeds and one job's hardware."""

    book: PriceBook
    shape: JobShape
    """An instance of the job that is quoted."""
    speeds: Speeds
    deepgram_model: str
    idle_seconds: float
    """How long an execution looks for more work before it ends, billed like the rest."""
    gather: GatherRules = field(default_factory=GatherRules)
    launches: LaunchRules = ONE_EXECUTION
    """How many executions of the job work on an upload that is divided."""
    shards: ShardRules = NEVER_DIVIDED
    queue_x_real_time: float | None = None
    """At which what waits is transcribed: the deployment's own model's, in whose seconds queues count. None: as fast as
    this upload."""
    trial: HeardBeside = NO_TRIAL
    """Of this upload on this job."""

    @property
    def queue_speed(self) -> float:
        """Seconds of audio of the queue in a second. Raises UnknownDevice."""
        return self.queue_x_real_time or self.speeds.of(self.shape.device).x_real_time


@dataclass(frozen=True)
class TranscriptionRequest:
    """What is to be transcribed."""

    media: Media
    streams: int = 1
    """Channels that are transcribed separately: each is a recording of its own, to every engine."""
    deadline_seconds: float | None = None
    speakers: bool = False
    """Whether it is to be found out who speaks."""
    speakers_need_the_whole: bool = False
    """Whether one execution hears that in all of the recording, though it is in shards."""
    keyterms: bool = False
    """Whether engines are to favour key terms; that takes Parakeet no time worth predicting."""
    second_opinion_usd: float = 0.0
    """Most that Deepgram may cost for what the job's own engine was not sure of."""
    deepgram_redacts: bool = False
    """Whether Deepgram, where it has all of the audio, is to redact its words."""
    deepgram_may_complete: bool = False
    """Whether Deepgram may hear what the job's engines have no words for."""
    job_may_complete: bool = False
    """Whether a job may hear what Deepgram has no words for."""
    deepgram_multilingual: bool = False
    """Whether Deepgram is asked for several languages within the recording."""
    redacted_audio: bool = False
    """Whether the job makes a redacted recording, which it decodes and transcribes once more."""

    @property
    def audio_seconds(self) -> float:
        """Audio that engines transcribe and bill."""
        return self.media.duration_seconds * self.streams


def overhead_seconds(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> dict[Phase, float]:
    """This upload's part of an execution's time outside batches; a running execution is paid for by others."""
    if queue.running:
        return {}
    own_seconds = queued_seconds(request, pricing)
    part = own_seconds / (own_seconds + max(queue.waiting_seconds, queue.company_seconds))
    startup_seconds = pricing.speeds.of(pricing.shape.device).startup_seconds
    return {Phase.START_UP: part * startup_seconds, Phase.WAITING: part * pricing.idle_seconds}


def queued_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """This upload's audio, as queues count it."""
    return request.audio_seconds * pricing.queue_speed / pricing.speeds.of(pricing.shape.device).x_real_time


def start_delay_seconds(pricing: PricingContext, queue: Queue) -> float:
    """Seconds until the job turns to this upload."""
    speed = pricing.speeds.of(pricing.shape.device)
    start = queue.starting_seconds if queue.running else speed.startup_seconds
    return start + queue.waiting_seconds / pricing.queue_speed


def queue_seconds(pricing: PricingContext, queue: Queue) -> float:
    """Of the start delay, the part behind uploads that wait for executions that run."""
    if not queue.running:
        return 0.0
    return queue.waiting_seconds / pricing.queue_speed


def parakeet_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """Seconds for the whole audio, on one execution."""
    return transcribing_seconds(request, pricing) + redacting_seconds(request, pricing)


def transcribing_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """Decoding and transcribing run side by side."""
    speed = pricing.speeds.of(pricing.shape.device).x_real_time
    return max(request.audio_seconds / speed, request.media.duration_seconds / pricing.speeds.decode_x_real_time)


def redacting_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """A redacted recording is made when there is a transcript, by decoding once more, and transcribed, too."""
    if not request.redacted_audio:
        return 0.0
    decoding = request.media.duration_seconds / pricing.speeds.decode_x_real_time
    return transcribing_seconds(request, pricing) + decoding


def speakers_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """Seconds in which the speakers of the whole audio are told apart, beside the rest; 0 where nobody asks."""
    if not request.speakers:
        return 0.0
    return request.media.duration_seconds / pricing.speeds.of(pricing.shape.device).speakers_x_real_time


def hearing_whole_seconds(request: TranscriptionRequest, pricing: PricingContext) -> float:
    """Seconds in which who assembles shards hears who speaks in the whole, beside decoding it; 0 where shards do."""
    if not (request.speakers and request.speakers_need_the_whole):
        return 0.0
    decoding = request.media.duration_seconds / pricing.speeds.decode_x_real_time
    return max(decoding, speakers_seconds(request, pricing))
