"""Recordings of a tone and cover pictures, made by FFmpeg once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tone_recordings import Record, red_png, tone_recorder, with_private_chunk


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return tone_recorder(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def cover(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a small PNG image."""
    return str(red_png(tmp_path_factory.mktemp("cover") / "cover.png"))


@pytest.fixture(scope="session")
def large_cover(cover: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a PNG image of 12 MB."""
    return str(with_private_chunk(Path(cover), tmp_path_factory.mktemp("cover") / "large.png"))
