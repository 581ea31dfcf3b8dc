"""How good a transcript is: whether the engine was sure of its words, for one that does not know the speech writes some
all the same; and whether as much of what is said has words as was asked for (`transcribe-min-coverage`)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from shared.transcript.model import Transcript, TranscriptWarning, WarningCode

LOW_CONFIDENCE = 0.9
"""Mean confidence of the words below which a transcript says so.

Measured: the built-in tiny model 0.988 to 0.997 on the speech it was made for, 0.85 to 0.88 on people's recordings, of
which it knows hardly a word (tenth percentile 0.97 against 0.70 to 0.74). Of the published models no figure was within
reach; they are trained on such speech and lie between, so the limit stands close to what is certainly nonsense."""

MIN_WORDS = 20
"""Fewer words with a confidence say nothing: a single doubtful name would be the mean."""


def confidence_warnings(confidences: Iterable[float | None], low_confidence: float) -> tuple[TranscriptWarning, ...]:
    """The warning that the engine was not sure of words with these confidences; none where it was, or where too few
    have one.

    `low_confidence`: mean confidence, 0 to 1, below which it is given; 0: never.
    """
    known = array("d", (one for one in confidences if one is not None))
    if len(known) < MIN_WORDS or (mean := sum(known) / len(known)) >= low_confidence:
        return ()
    why = (
        f"The words' mean confidence is {mean:.2f}, below {low_confidence:g}: the model may not know this language, the"
        " words, or the kind of sound. Check the text, or try another model."
    )
    return (TranscriptWarning(code=WarningCode.LOW_CONFIDENCE, message=why),)


_ROUNDING = 1e-9
"""Shares are quotients of sums of seconds."""


def covered_share(transcript: Transcript) -> float:
    """Of what is said, how much has words; 0 where there are no words and nobody looked whether anything is said."""
    if not transcript.words and not transcript.coverage.audited:
        return 0.0
    return transcript.coverage.share


def is_below(share: float, least: float | None) -> bool:
    """Whether less has words than was asked for; None: nothing was."""
    return least is not None and share < least - _ROUNDING


def with_coverage_warning(transcript: Transcript, least: float | None) -> Transcript:
    """The transcript that says so where it has fewer words than were asked for."""
    if least is None or not is_below(covered_share(transcript), least):
        return transcript
    why = (
        f"{covered_share(transcript) * 100:.2f} % of what is said has words, less than the {least * 100:g} % that were"
        " asked for, and no other engine may be asked or had more."
    )
    warning = TranscriptWarning(code=WarningCode.COVERAGE_BELOW_MINIMUM, message=why)
    return transcript.model_copy(update={"warnings": (*transcript.warnings, warning)})
