"""Gaps of a transcript: at an end that cannot be read, and added to one that is there."""

from __future__ import annotations

import pytest

from shared.media import Media
from shared.transcript.model import Coverage, Gap, Transcript, missing_end, with_gap


@pytest.mark.parametrize(
    ("stated", "estimated", "decoded", "missing"),
    [
        (100, False, 100, False),
        (100, False, 99.6, False),
        (100, False, 99.4, True),
        (1000, False, 999.6, False),
        (3600, False, 3599, True),
        (1000, True, 500, False),
        (100, False, 150, False),
    ],
)
def test_an_end_that_the_header_promised_and_nobody_could_read_is_a_gap(
    stated: float, estimated: bool, decoded: float, missing: bool
) -> None:
    media = Media(
        container="mp3",
        codec="mp3",
        duration_seconds=stated,
        duration_is_estimate=estimated,
        sample_rate_hz=16000,
        channels=1,
        size_bytes=9,
    )
    gap = missing_end(media, decoded)
    assert (gap is not None) == missing
    assert gap is None or (gap.start, gap.end) == (decoded, stated)


def test_a_gap_behind_the_end_makes_the_transcript_longer() -> None:
    coverage = Coverage(speech_seconds=4, covered_seconds=3)
    transcript = Transcript(
        job_id="j",
        source="file:///a",
        duration=10,
        language="en",
        model="m",
        text="",
        words=(),
        segments=(),
        paragraphs=(),
        coverage=coverage,
    )
    gap = Gap(start=10, end=15, reason="Unreadable.")
    longer = with_gap(transcript, gap)
    assert (longer.duration, longer.coverage.gaps) == (15, (gap,))
    assert longer.coverage.speech_seconds == pytest.approx(9)
    assert longer.coverage.covered_seconds == 3
