"""What FFmpeg decodes is taken: every container and codec that can be made here is inspected and decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.samples import SAMPLE_RATE
from shared.media import Media
from shared.transcript.model import Gap
from tests.support.media_kinds import KINDS, MADE_BY_HAND, UNTRIED, Kind, id_of, make, table
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import SECONDS, Record
from trigger_function.inspection.inspector import inspect

PADDING = 0.1
"""Seconds by which encoders fill up their last packet."""
DOCS = Path(__file__).parents[3] / "docs" / "formats.md"


def inspected(data: bytes) -> Media:
    return inspect(RemoteObject.of(data).fetch, len(data))


def assert_decodes(path: Path, media: Media) -> None:
    gaps: list[Gap] = []
    samples = sum(len(block) for block in decode(path, DecodeOptions(media=media, on_damage=gaps.append)))
    assert samples / SAMPLE_RATE == pytest.approx(SECONDS, abs=PADDING)
    assert gaps == []


@pytest.mark.parametrize("kind", KINDS, ids=id_of)
def test_a_kind_is_inspected_and_decoded(kind: Kind, record: Record, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{kind.extension}"
    path.write_bytes(make(kind, record))
    media = inspected(path.read_bytes())
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)
    assert media.sample_rate_hz == kind.rate_hz
    assert media.channels in (1, 2)
    assert media.has_video == bool(kind.picture)
    assert not media.has_wrong_header
    assert_decodes(path, media)


@pytest.mark.parametrize("name", MADE_BY_HAND)
def test_a_kind_without_a_writer_is_inspected_and_decoded(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tone"
    path.write_bytes(MADE_BY_HAND[name]())
    media = inspected(path.read_bytes())
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)
    assert media.promised_seconds == pytest.approx(SECONDS, abs=PADDING)
    assert_decodes(path, media)


def test_the_page_lists_the_kinds() -> None:
    text = DOCS.read_text()
    assert table() in text
    assert all(name in " ".join(text.split()) for name in UNTRIED)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("flac", ""),
        ("wav", ""),
        ("opus", ""),
        ("m4a", ""),
        ("mka", ""),
        ("mp3", "-id3v2_version 0"),
        ("adts", ""),
        ("ac3", ""),
    ],
)
@pytest.mark.parametrize("junk", [b"\0\1\2\3" * 1000, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["bytes", "a download's header"])
def test_sound_behind_junk_is_inspected_and_decoded(
    suffix: str, options: str, junk: bytes, record: Record, tmp_path: Path
) -> None:
    path = tmp_path / f"tone.{suffix}"
    path.write_bytes(junk + record(suffix, *options.split()))
    media = inspected(path.read_bytes())
    assert media.duration_seconds == pytest.approx(SECONDS, abs=PADDING)
    assert media.size_bytes == path.stat().st_size
    assert_decodes(path, media)
