"""What Deepgram is asked to do with the audio of an upload, whatever way the audio and the answer go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from shared.enums import Channels
from shared.keyterms.deepgram import deepgram_terms
from shared.keyterms.terms import Keyterm
from shared.languages.choice import MULTI, parse_language_choice
from shared.languages.deepgram import hears_several
from shared.options.model import UploadOptions
from shared.options.text_options import Fillers
from shared.redaction.kinds import Redact


@dataclass(frozen=True)
class DeepgramRequest:
    """The parameters of a call that follow from the upload's options.

    Source: https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded
    """

    language: str | None
    """A BCP 47 tag, or `multi`: it changes within the recording. None: it is to be found."""
    split: bool = False
    """Each channel by itself, as one speaker."""
    speakers: bool = False
    """With the speaker of each word."""
    keyterms: tuple[Keyterm, ...] = ()
    """What is expected to be said, for models that take it."""
    detected: tuple[str, ...] = ()
    """Languages among which it is to be found, or changes; none: it is found among all."""
    redact: tuple[str, ...] = ()
    """What Deepgram leaves out of its words."""
    is_formatted: bool = True
    """With numbers, dates and sums as Deepgram writes them; else in words."""
    fillers: bool = False
    """With "uh" and "um", which it leaves out else."""

    @classmethod
    def of_upload(cls, options: UploadOptions, language: str) -> DeepgramRequest:
        """For an upload as a whole. `language`: the deployment's."""
        chunks = cls.of_chunks(options, language)
        return replace(
            chunks,
            split=options.channels is Channels.SPLIT,
            speakers=options.tells_speakers_apart,
            redact=redacted_by_deepgram(options),
        )

    @classmethod
    def of_chunks(cls, options: UploadOptions, language: str) -> DeepgramRequest:
        """For some chunks of an upload: one channel each, and too short to tell who speaks in all of it."""
        language_asked, detected = _language(options, language)
        return cls(
            language_asked,
            detected=detected,
            # Where they are asked for in one form, they are brought to it afterwards, as those of other engines are.
            is_formatted=options.numbers is None,
            fillers=options.fillers is Fillers.KEEP,
            keyterms=options.keyterms,
        )

    def is_multilingual(self, model: str) -> bool:
        """Whether a model is asked for several languages within the recording, which has a price of its own."""
        return self.language == MULTI or (self.language is None and hears_several(self.detected, model))

    def parameters(self, model: str) -> dict[str, Any]:
        """As the SDK's functions take them for one of Deepgram's models."""
        is_multilingual = self.is_multilingual(model)
        is_found = self.language is None and not is_multilingual
        return {
            "language": MULTI if is_multilingual else self.language,
            "language_hint": list(self.detected) or None if is_multilingual else None,
            "detect_language": (list(self.detected) or True) if is_found else None,
            "smart_format": self.is_formatted,
            "filler_words": self.fillers or None,
            "punctuate": True,
            "multichannel": self.split or None,
            "diarize_model": "latest" if self.speakers else None,
            "keyterm": deepgram_terms(self.keyterms, model).phrases or None,
            "redact": list(self.redact) or None,
        }


def _language(options: UploadOptions, language: str) -> tuple[str | None, tuple[str, ...]]:
    """The language to be named, or those among which it is to be found."""
    if options.language is None and language.strip().lower() == MULTI:
        return MULTI, ()
    choice = options.language or parse_language_choice(language)
    return choice.known, () if choice.known else choice.codes


def redacted_by_deepgram(options: UploadOptions) -> tuple[str, ...]:
    """What Deepgram is to leave out where it has all of an upload, as its parameter has it."""
    request = options.redaction
    # Where the job makes a redacted recording it needs to know which words were where.
    return () if request.makes_audio else tuple(one.value for one in request.kinds if one is not Redact.CUSTOM)
