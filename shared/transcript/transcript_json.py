"""transcript.json's content."""

from __future__ import annotations

from itertools import chain
from typing import Any

from shared.transcript.model import Coverage, Transcript
from shared.transcript.timestamps import rounded


def transcript_json(transcript: Transcript) -> dict[str, Any]:
    """The transcript as JSON, times to the millisecond, with what the models derive. Unknown values are left out."""
    data = transcript.model_dump(mode="json", exclude_none=True)
    coverage = data["coverage"]
    stretches = chain(coverage["gaps"], data["overlaps"], data["second_opinions"], data["language_flips"])
    for timed in chain(data["words"], data["segments"], data["paragraphs"], stretches):
        timed["start"], timed["end"] = rounded(timed["start"]), rounded(timed["end"])
    data["duration"] = rounded(transcript.duration)
    for key in ("speech_seconds", "covered_seconds"):
        coverage[key] = rounded(coverage[key])
    coverage["share"] = Coverage.model_validate(coverage).share
    for optional in ("speakers", "overlaps", "second_opinions", "language_flips"):
        if not data[optional]:
            del data[optional]
    for stretch in data.get("redaction", {}).get("stretches", ()):
        stretch["start"], stretch["end"] = rounded(stretch["start"]), rounded(stretch["end"])
    data["engines"] = list(transcript.engines)
    if any(segment.language for segment in transcript.segments):
        data["languages"] = list(transcript.languages)
    return data
