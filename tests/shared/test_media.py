"""The identity of an upload."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.media import Upload
from shared.object_names import name_problem


def is_allowed(name: str) -> bool:
    return name_problem(name) is None


BUCKETS, NAMES, GENERATIONS = (
    st.text(min_size=3, max_size=20),
    st.text(min_size=1, max_size=20).filter(is_allowed),
    st.integers(1, 2**63),
)
UPLOADS = st.builds(Upload, bucket=BUCKETS, name=NAMES, generation=GENERATIONS)


def test_the_job_id_never_changes() -> None:
    # Stored under this name by every version of the function: another value would be another job.
    upload = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
    assert upload.job_id == "2cba83f49b82acb8f95f8f96"
    assert upload.uri == "gs://uploads/calls/a.mp3#1"


@given(UPLOADS)
def test_a_job_id_is_safe_in_names_and_queries(upload: Upload) -> None:
    assert re.fullmatch("[0-9a-f]{24}", upload.job_id)
    assert Upload.model_validate_json(upload.model_dump_json()).job_id == upload.job_id


@pytest.mark.parametrize(
    "changes",
    [{"bucket": "uploads2"}, {"name": "calls/b.mp3"}, {"generation": 2}, {"bucket": "uploads/calls", "name": "a.mp3"}],
)
def test_another_upload_is_another_job(changes: dict[str, object]) -> None:
    upload = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
    assert upload.model_copy(update=changes).job_id != upload.job_id


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": "ab"},
        {"bucket": None},
        {"name": ""},
        {"name": "n" * 1025},
        {"name": "é" * 513},
        {"name": "a\nb"},
        {"name": "a\r"},
        {"name": ".."},
        {"name": "\udcff"},
        {"generation": 0},
        {"generation": "x"},
    ],
)
def test_what_cloud_storage_cannot_hold_is_no_upload(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Upload.model_validate({"bucket": "uploads", "name": "a", "generation": "1", **changes})
