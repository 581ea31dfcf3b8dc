"""Settings of the API: what could let somebody in, or reach further than it looks, is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.support.api_server import OPERATOR_KEY, sha256
from trigger_function.api.settings import ApiSettings
from trigger_function.api.web.callers import ApiKey


@pytest.mark.parametrize("source", ["archive", "archive/news", "/archive/", "gs://archive/", ""])
def test_places_to_copy_from_are_whole_buckets_or_folders(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="BUCKET/FOLDER/"):
        ApiKey(id="one", sha256=sha256(OPERATOR_KEY), folder="one", sources=(source,))
    monkeypatch.setenv("API_SOURCE_BUCKETS", f"archive/,{source or '/'}")
    with pytest.raises(ValidationError, match="BUCKET/FOLDER/"):
        ApiSettings()
