"""What an answer of Deepgram becomes: the job's transcript, and its bill with what Deepgram says it transcribed."""

from __future__ import annotations

from dataclasses import replace

from shared.clock import now
from shared.costs.bill import Bill, deepgram_bill
from shared.costs.speeds import deepgram_figures
from shared.deepgram import DeepgramResult
from shared.deepgram_request import DeepgramRequest, redacted_by_deepgram
from shared.enums import Method
from shared.errors import EngineFailed, FailureKind
from shared.keyterms.deepgram import terms_at_deepgram
from shared.languages.choice import MULTI, UNDETERMINED
from shared.media import Media
from shared.state.job_result import JobResult, completed
from shared.state.jobs.first_transcript import FirstTranscript
from shared.state.jobs.record import CallbackCall, JobRecord
from shared.transcript.compose import compose
from shared.transcript.editing.edit_words import edited
from shared.transcript.editing.languages_of_words import by_language, most_common_language
from shared.transcript.editing.redaction import redact_transcript, without_redacted_audio
from shared.transcript.model import Speaker, Transcript, missing_end, with_gap, with_keyterms
from shared.transcript.quality import covered_share, is_below, with_coverage_warning
from shared.transcript.speakers import named_speakers, numbered_as_heard, spoken_seconds, with_speaker_warning
from trigger_function.deepgram.answers import StoredAnswer
from trigger_function.services import Services

LATE = "Its answer came late."


class TooFewWords(EngineFailed):
    """Deepgram's transcript has fewer words than were asked for, and a job may have more. The answer is stored."""

    def __init__(self, share: float, bill: Bill) -> None:
        """`bill`: of the job until now, with what Deepgram says that it transcribed."""
        reason = f"Deepgram's transcript has words for {share * 100:.4g} % of what is said, less than was asked for."
        super().__init__(reason, FailureKind.REFUSED)
        self.bill = bill


def finished_with_stored_answer(services: Services, record: JobRecord, *, is_last: bool = False) -> bool:
    """Whether an earlier attempt left Deepgram's answer, with which the job is finished now.

    `is_last`: whatever it covers, no other engine is asked. Raises TooFewWords otherwise."""
    answer = services.answers.load(record)
    if answer is None or record.media is None:
        return False
    finish_with(services, record, record.media, answer, is_last=is_last)
    return True


def use_callback(
    services: Services, record: JobRecord, media: Media, call: CallbackCall, answer: DeepgramResult
) -> None:
    """Finish a job with what Deepgram posted. `record`: the newest, with what the job cost until now."""
    decision = call.decision
    if record.decision not in (None, decision):
        decision = decision.model_copy(update={"reason": f"{decision.reason} {LATE}"})
    stored = keep_callback(services, record, call, answer)
    finish_with(services, record.model_copy(update={"decision": decision}), media, stored)
    took = (now() - call.called_at).total_seconds()
    services.speeds.observe(deepgram_figures(billed_seconds(answer, media), took))


def keep_callback(services: Services, record: JobRecord, call: CallbackCall, answer: DeepgramResult) -> StoredAnswer:
    """Store what Deepgram posted, for whoever looks after the job next."""
    stored = StoredAnswer(result=answer, price=call.price, run=record.run)
    services.answers.store(record, stored)
    return stored


def finish_with(
    services: Services, record: JobRecord, media: Media, stored: StoredAnswer, *, is_last: bool = False
) -> None:
    """End the job with this answer. Raises TooFewWords where it covers less than was asked for, a job may be asked, and
    it is not the last word; then its transcript is kept, for the better one counts. So it is where the answer is late
    and a job has the upload already."""
    upload, answer = record.upload, stored.result
    duration = answer.duration_seconds or media.duration_seconds
    passage = answer.passage
    speakers: tuple[Speaker, ...] = ()
    if record.options.tells_speakers_apart:
        passage = numbered_as_heard(passage)
        speakers = named_speakers(spoken_seconds([passage]), record.options.speaker_names)
    passages = by_language(replace(passage, language=answer.language), answer.languages)
    known = DeepgramRequest.of_upload(record.options, services.settings.language).language
    found = most_common_language(passages) or answer.language
    language = (found if known in (None, MULTI) else known) or UNDETERMINED
    transcript = compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=duration,
        language=language,
        model=answer.model,
        language_confidence=answer.language_confidence,
        passages=edited(passages, language, record.options.text, record.options.redaction),
        channels=answer.channels,
        speakers=speakers,
        tracks=media.transcript_tracks(),
        low_confidence=services.settings.low_confidence,
    )
    transcript = with_speaker_warning(transcript, record.options.least_speakers)
    terms, model = record.options.keyterms, deepgram_model(services, record)
    transcript = with_keyterms(transcript, terms, [terms_at_deepgram(terms, model)])
    if (missing := missing_end(media, duration)) is not None:
        transcript = with_gap(transcript, missing)
    bill, predicted, price = record.spent, Bill(), Bill()
    # Else it is on the bill of the run that called, or was put there when a job was asked for more.
    if stored.run == record.run and not record.has_first_transcript:
        predicted, price = stored.price, deepgram_price(services, model, billed_seconds(answer, media), record, media)
        bill = bill.answered(predicted, price)
    transcript = with_coverage_warning(transcript, record.options.min_coverage)
    result = _redacted(services, transcript, record)
    share = covered_share(transcript)
    if not is_last and is_below(share, record.options.min_coverage) and _may_ask_a_job(record):
        assert result.transcript is not None
        first = FirstTranscript(
            transcript=result.transcript, unredacted=result.unredacted, predicted=predicted, price=price
        )
        services.jobs.keep_first_transcript(record, first)
        raise TooFewWords(share, bill)
    services.finisher.finish(record, result, bill)


def _may_ask_a_job(record: JobRecord) -> bool:
    """Whether routing found that one may have the upload, and none follows Deepgram's transcript yet. Where the answer
    is late, one has it."""
    quote = record.decision.quote if record.decision else None
    may_have = quote is not None and quote.method is Method.DEEPGRAM and quote.only_if_incomplete_usd > 0
    return may_have and not record.has_first_transcript


def _redacted(services: Services, transcript: Transcript, record: JobRecord) -> JobResult:
    """Without what is to be redacted. No job had the recording, so there is no redacted one."""
    request = record.options.redaction
    redacted, _ = redact_transcript(transcript, request)
    keeps_unredacted = request.is_asked and services.settings.unredacted_bucket is not None
    if request.makes_audio:
        redacted = without_redacted_audio(redacted, "Deepgram alone transcribed it, and only the job makes one.")
    return replace(completed(redacted), unredacted=transcript if keeps_unredacted else None)


def billed_seconds(answer: DeepgramResult, media: Media) -> float:
    """Deepgram bills what it decoded, which can differ from what the header promised; each channel counts."""
    return (answer.duration_seconds or media.duration_seconds) * answer.channels


def deepgram_model(services: Services, record: JobRecord) -> str:
    """Of Deepgram: the one that a re-run was asked for, or the deployment's."""
    asked = record.requested.deepgram_model if record.requested else None
    return asked or services.settings.deepgram_model


def deepgram_price(
    services: Services, model: str, audio_seconds: float, record: JobRecord, media: Media, *, possibly: bool = False
) -> Bill:
    """`audio_seconds`: the sum of all channels that are transcribed separately."""
    return deepgram_bill(
        model,
        audio_seconds,
        media.size_bytes,
        services.prices,
        speakers=record.options.tells_speakers_apart,
        keyterms=bool(record.options.keyterms),
        redaction=bool(redacted_by_deepgram(record.options)),
        multilingual=DeepgramRequest.of_upload(record.options, services.settings.language).is_multilingual(model),
        possibly=possibly,
    )
