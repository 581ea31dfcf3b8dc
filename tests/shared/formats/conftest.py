"""Recordings of a tone, made by FFmpeg once a session."""

from __future__ import annotations

import pytest

from tests.support.tone_recordings import Record, tone_recorder


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return tone_recorder(tmp_path_factory.mktemp("recordings"))
