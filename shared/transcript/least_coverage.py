"""The least share of what is said that has to have words, where an upload asks for one (`transcribe-min-coverage`)."""

from __future__ import annotations

from shared.transcript.model import Transcript, TranscriptWarning, WarningCode


def covered_share(transcript: Transcript) -> float:
    """Of what is said, how much has words; 0 where there are no words and nobody looked whether anything is said."""
    if not transcript.words and not transcript.coverage.audited:
        return 0.0
    return transcript.coverage.share


def is_below(transcript: Transcript, least: float | None) -> bool:
    """Whether fewer words are there than were asked for."""
    return least is not None and covered_share(transcript) < least


def with_coverage_warning(transcript: Transcript, least: float | None) -> Transcript:
    """The transcript that says so where it has fewer words than were asked for."""
    if least is None or not is_below(transcript, least):
        return transcript
    why = (
        f"{covered_share(transcript) * 100:.2f} % of what is said has words, less than the {least * 100:g} % that were"
        " asked for, and no other engine may be asked or had more."
    )
    warning = TranscriptWarning(code=WarningCode.COVERAGE_BELOW_MINIMUM, message=why)
    return transcript.model_copy(update={"warnings": (*transcript.warnings, warning)})
