"""What a job's second opinions may cost, and the objects that remember that one was asked for, and the answer.

killed                                what the next attempt does
before the marker is there            asks
behind it, before the answer is there does not ask: the call may have been made, and is on the bill
behind the answer                     uses it
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from google.cloud.storage import Bucket
from pydantic import TypeAdapter

from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.transcription.opinions.second_opinions import OpinionLimits
from gpu_job.worker.billing.deepgram_calls import BYTES_PER_SAMPLE_SENT
from gpu_job.worker.jobs.unstored_results import UnstoredResults
from gpu_job.worker.services import JobServices
from shared import objects
from shared.costs.bill import Bill, deepgram_bill
from shared.deepgram_request import DeepgramRequest
from shared.messages import Decision
from shared.state.jobs.object_names import parts_folder
from shared.state.jobs.record import JobRecord

_HEARD = TypeAdapter(tuple[HeardAgain, ...])

OpinionLimitsOf = Callable[[JobRecord, Decision, Bill, UnstoredResults], OpinionLimits | None]
"""A job that may use Deepgram, what was decided for it, what it cost until now, and what guards its parts -> the limits
of its second opinions; None where none is asked for."""


def no_opinions(record: JobRecord, decision: Decision, spent: Bill, parts: UnstoredResults) -> None:
    """For a worker that has no other engine."""


def opinion_limits(services: JobServices) -> OpinionLimitsOf:
    """How a worker's jobs have theirs."""
    settings, book = services.settings, services.prices

    def limits_of(record: JobRecord, decision: Decision, spent: Bill, parts: UnstoredResults) -> OpinionLimits | None:
        doubtful_usd = record.options.second_opinion_usd or 0.0
        missing_usd = most_for_missing_words(record, decision) if settings.enable_fallback else 0.0
        if settings.deepgram_api_key is None:
            return None
        if record.options.max_cost_usd is not None:
            chosen = [quote.surely_usd for quote in decision.quotes if quote.method is decision.method]
            # The quote has the opinion's price on it.
            left = record.options.max_cost_usd - spent.usd - max(0.0, max(chosen, default=0.0) - doubtful_usd)
            doubtful_usd = max(0.0, min(doubtful_usd, left))
            missing_usd = max(0.0, min(missing_usd, left - doubtful_usd))
        sent_bytes = SAMPLE_RATE * BYTES_PER_SAMPLE_SENT
        keyterms = bool(record.options.keyterms)
        model = settings.deepgram_model
        multilingual = DeepgramRequest.of_chunks(record.options, settings.language).is_multilingual(model)
        second = deepgram_bill(model, 1.0, sent_bytes, book, keyterms=keyterms, multilingual=multilingual)
        second_usd = second.usd
        if doubtful_usd + missing_usd <= 0 or second_usd <= 0:
            return None
        store = StoredOpinions(services.state, record, parts)
        return OpinionLimits(doubtful_usd / second_usd, missing_usd / second_usd, store)

    return limits_of


def most_for_missing_words(record: JobRecord, decision: Decision) -> float:
    """Dollars that may be spent on what the job's engine has no words for: what the quote has for it, which it has only
    where routing found that Deepgram may have the audio. 0 where Deepgram was called for the upload before."""
    if record.options.min_coverage is None or record.deepgram_calls:
        return 0.0
    chosen = decision.quote
    return 0.0 if chosen is None else chosen.only_if_incomplete_usd


class StoredOpinions:
    """Among the parts of an unfinished job, which are deleted when its outcome stands."""

    def __init__(self, bucket: Bucket, record: JobRecord, parts: UnstoredResults) -> None:
        self._bucket = bucket
        folder = parts_folder(record.upload.job_id, record.parts_run) + record.own_parts
        self._marker, self._answer = f"{folder}second-opinion", f"{folder}second-opinion-answer"
        self._parts = parts

    def begin(self) -> bool:
        """Write the marker; False where it was there, or the job is being finished."""
        own = uuid.uuid4().hex.encode()
        stood: list[bytes] = []
        self._parts.guard(lambda: stood.append(objects.create_once(self._bucket, self._marker, own, "text/plain").data))
        return stood == [own]

    def save(self, heard: Sequence[HeardAgain]) -> None:
        """Write the answer."""
        data = _HEARD.dump_json(tuple(heard))
        self._parts.guard(lambda: objects.create_once(self._bucket, self._answer, data))

    def load(self) -> Sequence[HeardAgain]:
        """The answer, where one was stored."""
        stored = objects.read(self._bucket, self._answer)
        return _HEARD.validate_json(stored.data) if stored is not None else ()
