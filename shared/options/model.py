"""Upload options: what is asked for one upload."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.enums import Channels, Method, Privacy
from shared.errors import Rejected
from shared.formats.tracks import RequestedTrack
from shared.keyterms.terms import FILE_NAME, Keyterms, joined, parse_keyterms
from shared.languages.choice import LanguageChoice
from shared.media import Media
from shared.object_names import MAX_OBJECT_NAME_BYTES
from shared.options.metadata_keys import (
    CHANNELS_METADATA,
    DEADLINE_METADATA,
    FILLERS_METADATA,
    KEYTERMS_FILE_METADATA,
    KEYTERMS_METADATA,
    LANGUAGE_METADATA,
    MAX_COST_METADATA,
    METHOD_METADATA,
    MIN_COVERAGE_METADATA,
    NUMBERS_METADATA,
    PRIVACY_METADATA,
    PROFANITY_METADATA,
    REDACT_AUDIO_METADATA,
    REDACT_METADATA,
    REDACT_TERMS_METADATA,
    SECOND_OPINION_METADATA,
    SPEAKER_NAMES_METADATA,
    SPEAKERS_METADATA,
    SUBTITLES_METADATA,
    TRACK_METADATA,
    VIDEO_ID_METADATA,
    VOICES_METADATA,
    WEBHOOK_BODY_METADATA,
    WEBHOOK_METADATA,
)
from shared.options.speaker_count import SpeakerCount
from shared.options.speaker_names import SpeakerName
from shared.options.subtitle_rules import SubtitleOptions
from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.request import RedactionRequest, Term
from shared.redaction.terms import MAX_TERMS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

LONGEST_DEADLINE_MINUTES = 1e9
"""1,900 years. A date after the year 9999 cannot be represented, so a worker could not compute with it."""


MOST_SECOND_OPINION_USD = 1000.0
"""More than any recording costs. With it a quote is still a finite number, without which no record can be read."""


VideoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,128}$")]
"""What the owner's own system calls the recording: letters, digits and `._~-`."""


MAX_METADATA_BYTES = 8 * 1024
"""Of an object's keys and values (https://cloud.google.com/storage/quotas#objects)."""

MAX_WEBHOOK_CHARACTERS = 2048
"""Of a URL that an outcome is posted to."""


KeytermsFile = Annotated[
    str, Field(max_length=MAX_OBJECT_NAME_BYTES, pattern=rf"^(.*[/.])?{FILE_NAME.replace('.', '[.]')}$")
]
"""The name of an object that is a list of key terms."""


VOICES_OFF = "off"

VoicesOption = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^/\x00-\x1f\x7f]+$")]
"""A first folder of names in the uploads bucket, or `off`."""


class WebhookBody(StrEnum):
    """What is posted to an upload's own URL."""

    OUTCOME = "outcome"
    """As to every URL: docs/webhooks.md."""
    DEEPGRAM = "deepgram"
    """What Deepgram posts to a callback: the transcript in its JSON, or an error."""


class UploadOptions(BaseModel):
    """What was requested for one upload; the deployment's settings decide the rest."""

    model_config = ConfigDict(frozen=True)

    method: Literal["auto"] | Method | None = None
    channels: Channels = Channels.MIX
    track: RequestedTrack | None = None
    """None: the track that the file marks as its default, else the first."""
    language: LanguageChoice | None = None
    """In which language people speak; None: the deployment's."""
    subtitles: SubtitleOptions | None = None
    speakers: SpeakerCount | None = None
    """How many people speak; None: who says what is not asked. Split channels are speakers anyway."""
    speaker_names: tuple[SpeakerName, ...] = ()
    """Of the speakers, in the order in which they are first heard."""
    voices: VoicesOption | None = None
    """`off`: its speakers are compared with no kept voices. Else the folder whose voices they are compared with, which
    a rule alone may name; None: the upload's own."""
    keyterms: Keyterms = ()
    """What is expected to be said."""
    keyterms_file: KeytermsFile | None = None
    """The object in the upload's bucket whose terms come on top."""
    numbers: Numbers | None = None
    """None: as the engine writes them."""
    fillers: Fillers | None = None
    profanity: Profanity | None = None
    second_opinion_usd: Annotated[Positive, Field(le=MOST_SECOND_OPINION_USD)] | None = None
    """Most that may be spent on having another engine hear what the first was not sure of."""
    min_coverage: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of what is said that has to have words; below it another engine is asked."""
    redact: tuple[Redact, ...] = ()
    """What must not be read in the results, beside what the deployment redacts in every upload."""
    redact_terms: Annotated[tuple[Term, ...], Field(max_length=MAX_TERMS)] = Field(default=(), repr=False)
    """The same, in words of the owner's: phrases and patterns."""
    redact_audio: AudioMasking | None = None
    """What is heard in the place of what was redacted; None: as the deployment has it."""
    privacy: Privacy = Privacy.ANY
    deadline_minutes: Annotated[Positive, Field(le=LONGEST_DEADLINE_MINUTES)] | None = None
    """From the event to the transcript."""
    max_cost_usd: Positive | None = None
    video_id: VideoId | None = None
    webhook: Annotated[str, Field(max_length=MAX_WEBHOOK_CHARACTERS, pattern=r"^https?://[!-~]+$")] | None = None
    """Where the outcome is posted to, besides the deployment's own URLs; its origin has to be an allowed one."""
    webhook_body: WebhookBody = WebhookBody.OUTCOME

    @field_validator("keyterms", mode="before")
    @classmethod
    def _may_be_text(cls, value: object) -> object:
        return parse_keyterms(value) if isinstance(value, str) else value

    @property
    def is_private(self) -> bool:
        """Whether the upload may never leave for an API."""
        return self.privacy is Privacy.LOCAL

    @property
    def tells_speakers_apart(self) -> bool:
        """Whether engines are to say who speaks. Split channels are speakers by themselves."""
        return self.speakers is not None and self.channels is not Channels.SPLIT

    @property
    def least_speakers(self) -> int | None:
        """How many engines are to tell apart at least; None where they are not to."""
        return self.speakers.least if self.speakers is not None and self.tells_speakers_apart else None

    @property
    def text(self) -> TextOptions:
        """How the words are to be written."""
        return TextOptions(self.numbers, self.fillers, self.profanity)

    @property
    def has_keyterms(self) -> bool:
        """Whether terms were given; those of a list in the bucket are not known before it was read."""
        return bool(self.keyterms) or self.keyterms_file is not None

    @property
    def redaction(self) -> RedactionRequest:
        """What is to be redacted."""
        asked = {*self.redact, *((Redact.CUSTOM,) if self.redact_terms else ())}
        kinds = tuple(kind for kind in Redact if kind in asked)
        return RedactionRequest(kinds=kinds, terms=self.redact_terms, audio=self.redact_audio or AudioMasking.MUTE)

    def with_redaction_of(self, deployment: RedactionRequest) -> UploadOptions:
        """With what the deployment redacts in every upload, to which this one adds."""
        own = self.redaction
        redact = tuple(kind for kind in Redact if kind in {*own.kinds, *deployment.kinds})
        if not redact:
            return self
        terms = tuple(dict.fromkeys((*deployment.terms, *self.redact_terms)))
        audio = self.redact_audio or deployment.audio
        return self.model_copy(update={"redact": redact, "redact_terms": terms, "redact_audio": audio})

    def streams(self, media: Media) -> int:
        """Recordings that engines transcribe and bill: one, or each channel by itself."""
        return media.channels if self.channels is Channels.SPLIT else 1

    def metadata(self) -> dict[str, str]:
        """The options as metadata of an object; empty where none was requested. Raises Rejected where it is long."""
        asked = {
            METHOD_METADATA: self.method,
            CHANNELS_METADATA: self.channels if self.channels is not Channels.MIX else None,
            TRACK_METADATA: self.track,
            LANGUAGE_METADATA: self.language,
            SUBTITLES_METADATA: self.subtitles,
            SPEAKERS_METADATA: self.speakers,
            SPEAKER_NAMES_METADATA: ", ".join(self.speaker_names) or None,
            VOICES_METADATA: self.voices,
            KEYTERMS_METADATA: joined(self.keyterms) or None,
            KEYTERMS_FILE_METADATA: self.keyterms_file,
            NUMBERS_METADATA: self.numbers,
            FILLERS_METADATA: self.fillers,
            PROFANITY_METADATA: self.profanity,
            SECOND_OPINION_METADATA: self.second_opinion_usd,
            MIN_COVERAGE_METADATA: self.min_coverage,
            REDACT_METADATA: ",".join(self.redact) or None,
            REDACT_TERMS_METADATA: ", ".join(self.redact_terms) or None,
            REDACT_AUDIO_METADATA: self.redact_audio,
            PRIVACY_METADATA: self.privacy if self.privacy is not Privacy.ANY else None,
            DEADLINE_METADATA: self.deadline_minutes,
            MAX_COST_METADATA: self.max_cost_usd,
            VIDEO_ID_METADATA: self.video_id,
            WEBHOOK_METADATA: self.webhook,
            WEBHOOK_BODY_METADATA: self.webhook_body if self.webhook_body is not WebhookBody.OUTCOME else None,
        }
        metadata = {key: str(value) for key, value in asked.items() if value is not None}
        if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > MAX_METADATA_BYTES:
            raise Rejected(
                f"The options are longer than {MAX_METADATA_BYTES // 1024} KiB, the most that an object's metadata may"
                f" be. A long list of key terms goes into the bucket ({KEYTERMS_FILE_METADATA})."
            )
        return metadata


NOTHING_ASKED = UploadOptions()
"""An upload without options."""
