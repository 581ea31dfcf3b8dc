"""A transcript -> the same without what must not be read: one token in the place of each redacted stretch. Pure.

It is the last step before anything is stored, for every engine: behind speakers, written forms and profanity, so that
numbers are looked for as they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from shared.enums import Engine
from shared.redaction.digits import is_said_between
from shared.redaction.entities import Entity, Label, without_overlaps
from shared.redaction.find import LANGUAGE, find_entities
from shared.redaction.kinds import Redact
from shared.redaction.names import may_be_no_name
from shared.redaction.request import RedactionRequest
from shared.transcript.compose import group
from shared.transcript.editing.word_edits import WordEdit, edit_passages
from shared.transcript.model import (
    Passage,
    RedactedAudio,
    RedactedStretch,
    Redaction,
    Speaker,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from shared.transcript.spacing import join_words
from shared.transcript.text import speaker_name

_MARKS = ".,;:!?…"
"""Stay behind the token: they end sentences."""


@dataclass(frozen=True)
class RedactedWords:
    """What was redacted. Never stored."""

    start: float
    end: float
    label: Label
    speaker: int | None = None
    texts: tuple[str, ...] = field(default=(), repr=False)
    """The words, as engines wrote them; not in logs."""

    @classmethod
    def of(cls, words: Sequence[Word], label: Label) -> RedactedWords:
        """Consecutive words of one speaker."""
        return cls(
            min(word.start for word in words),
            max(word.end for word in words),
            label,
            words[0].speaker,
            tuple(word.text for word in words),
        )


def redact_transcript(
    transcript: Transcript, request: RedactionRequest
) -> tuple[Transcript, tuple[RedactedWords, ...]]:
    """The transcript without what is to be redacted, and what that was, in the order of time.

    Names that the owner gave to speakers stay, unless a term of his stands in them.
    """
    if not request.is_asked:
        return transcript, ()
    found: list[RedactedWords] = []
    said = tuple(transcript.words)
    """Each word once: its identity says which one it is."""
    across = _across_speakers(said, request)

    def edits(words: Sequence[Word]) -> list[WordEdit]:
        own = find_entities([word.text for word in words], request)
        entities = without_overlaps([*own, *_own_part(words, across)])
        found.extend(RedactedWords.of(words[one.first : one.last + 1], one.label) for one in entities)
        return [_edit(words, one) for one in entities]

    passages = edit_passages(_passages(transcript, said), [edits])
    words, segments, paragraphs = group(passages, transcript.language)
    found.sort(key=lambda one: (one.start, one.end))
    warnings = () if transcript.language.split("-")[0] == LANGUAGE else _language_warning(request)
    redacted = transcript.model_copy(
        update={
            "text": join_words(segment.text for segment in segments),
            "words": words,
            "segments": segments,
            "paragraphs": paragraphs,
            "speakers": tuple(_without_terms(speaker, request) for speaker in transcript.speakers),
            "warnings": (*transcript.warnings, *warnings),
            # It says which terms were said, and where: what became of one may be what is redacted.
            "keyterms": None,
            # So may be what another engine heard instead.
            "second_opinions": (),
            "redaction": Redaction(
                kinds=tuple(kind.value for kind in request.kinds),
                stretches=tuple(RedactedStretch(start=one.start, end=one.end, label=one.label.value) for one in found),
            ),
        }
    )
    return redacted, tuple(found)


def _across_speakers(words: Sequence[Word], request: RedactionRequest) -> Mapping[int, Entity]:
    """The identities of words that are redacted in the order of time, whoever is thought to say them.

    In the midst of a term the speaker may be mistaken, or unknown; so he may be in a card, a phone or another number
    whose digits or whose neighbours say what it is. So he may be in a name that goes on in the next turn, or is the
    answer to a question for it. Of other numbers only that he is unknown counts, for what two people say in turn makes
    many.
    """
    if len({word.speaker for word in words}) < 2:
        return {}
    texts = [word.text for word in words]
    entities = [*find_entities(texts, request.of_terms)]
    own_terms = len(entities)
    entities += [
        one
        for one in find_entities(texts, request)
        if one.label not in _OF_ONE_SPEAKER
        or _is_of_one(words[one.first : one.last + 1])
        or (one.label is Label.NAME and _is_name_of_two(words, one))
    ]
    terms = {place for one in entities[:own_terms] for place in range(one.first, one.last + 1)}
    return {
        id(words[place]): one
        for one in without_overlaps(entities)
        for place in range(one.first, one.last + 1)
        # The "yes" of who takes a number down is his own.
        if place in terms or not is_said_between(words[place].text)
    }


_OF_ONE_SPEAKER = frozenset({Label.NAME, Label.NUMBER, Label.REDACTED})
"""What is not known by itself. Terms are looked for on their own."""


def _is_of_one(words: Sequence[Word]) -> bool:
    speakers = {word.speaker for word in words}
    return None in speakers and len(speakers) <= 2


def _is_name_of_two(words: Sequence[Word], name: Entity) -> bool:
    """Whether a name begins in one turn and ends in the next, or is all that is said first in answer to a question."""
    own = words[name.first : name.last + 1]
    turns = [list(turn) for _, turn in groupby(own, key=lambda word: word.speaker)]
    if any(may_be_no_name(word.text, is_answer=len(turns) == 1) for word in turns[-1]):
        return False
    if len(turns) > 1:
        return len(turns) == 2
    begin = name.first
    while begin > 0 and words[begin - 1].speaker == own[0].speaker and may_be_no_name(words[begin - 1].text):
        begin -= 1
    is_first = begin > 0 and words[begin - 1].speaker != own[0].speaker
    behind = words[name.last + 1 : name.last + 2]
    is_all = own[-1].text.endswith((".", ",", "!")) or not behind or behind[0].speaker != own[0].speaker
    return is_first and is_all


def _own_part(words: Sequence[Word], across: Mapping[int, Entity]) -> Iterator[Entity]:
    """What one speaker has of them."""
    for entity, part in groupby(enumerate(words), key=lambda one: across.get(id(one[1]))):
        places = [at for at, _ in part]
        if entity is not None:
            yield Entity(places[0], places[-1], entity.label)


def without_redacted_audio(transcript: Transcript, why: str) -> Transcript:
    """The same with a warning that there is no redacted recording. `why`: a sentence."""
    warning = TranscriptWarning(
        code=WarningCode.REDACTED_AUDIO_MISSING, message=f"There is no redacted recording. {why}"
    )
    return transcript.model_copy(update={"warnings": (*transcript.warnings, warning)})


def with_redacted_audio(transcript: Transcript, audio: RedactedAudio) -> Transcript:
    """The same, which names its redacted recording."""
    assert transcript.redaction is not None  # it was redacted
    return transcript.model_copy(update={"redaction": transcript.redaction.model_copy(update={"audio": audio})})


def _edit(words: Sequence[Word], entity: Entity) -> WordEdit:
    last = words[entity.last].text
    marks = last[len(last.rstrip(_MARKS)) :]
    return WordEdit(entity.first, entity.last, (entity.label.token + marks,))


def _passages(transcript: Transcript, said: Sequence[Word]) -> list[Passage]:
    """Its words with the engine that wrote each, as its segment has it."""
    engines: dict[int, Engine] = {
        index: segment.engine for segment in transcript.segments for index in segment.word_indexes(transcript.words)
    }
    placed = groupby(enumerate(said), key=lambda one: engines[one[0]])
    return [Passage(engine, [word for _, word in words]) for engine, words in placed]


def _without_terms(speaker: Speaker, request: RedactionRequest) -> Speaker:
    if not find_entities(speaker.name.split(), request.of_terms):
        return speaker
    return speaker.model_copy(update={"name": speaker_name(speaker.number)})


def _language_warning(request: RedactionRequest) -> tuple[TranscriptWarning, ...]:
    if set(request.kinds) <= {Redact.CUSTOM}:
        return ()
    message = (
        "Personal data and numbers in words are found in English only; of this language numbers in digits, e-mail"
        " addresses and some names are."
    )
    return (TranscriptWarning(code=WarningCode.REDACTION_LANGUAGE, message=message),)
