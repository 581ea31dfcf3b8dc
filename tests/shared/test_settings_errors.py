"""A setting that cannot be used: one line with its name, its value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gpu_job.settings import JobSettings
from infra.emulators.cloud import CloudOptions, check_settings
from shared.costs.prices import UnusablePriceBook
from shared.errors import validation_message

SETTINGS = {
    ("CPU_X_REAL_TIME", "-1"): "CPU_X_REAL_TIME: Input should be greater than 0, and is '-1'",
    ("MODEL_PRECISION", "fp64"): (
        "MODEL_PRECISION: Input should be 'auto', 'bf16', 'fp32' or 'int8', and is 'fp64'"
    ),
    ("CHUNK_DURATION_MINUTES", "two"): (
        "CHUNK_DURATION_MINUTES: Input should be a valid number, unable to parse string as a number, and is 'two'"
    ),
    ("SHORT_FILE_THRESHOLD_HOURS", "9"): (
        "Settings: PARAKEET_MAX_MINUTES, SHORT_FILE_THRESHOLD_HOURS and LONG_FILE_THRESHOLD_HOURS must ascend;"
        " SHORT_FILE_THRESHOLD_HOURS is '9'"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("setting", "says"), SETTINGS.items())
def test_what_function_or_job_would_refuse_is_told_before_the_laptop_cloud_starts(
    monkeypatch: pytest.MonkeyPatch, setting: tuple[str, str], says: str
) -> None:
    check_settings(CloudOptions())
    monkeypatch.setenv(*setting)
    with pytest.raises(ValidationError) as caught:
        check_settings(CloudOptions())
    assert validation_message(caught.value) == says


def test_what_the_laptop_cloud_sets_itself_or_keeps_from_its_children_may_be_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("JOB_VCPU", "LEASE_SECONDS", "DEEPGRAM_TIMEOUT_SECONDS", "CLOUD_RUN_EXECUTION"):
        monkeypatch.setenv(name, "x")
    check_settings(CloudOptions())


def test_every_bad_setting_is_named_and_what_is_not_set_has_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        JobSettings(google_cloud_project="p", state_bucket="s", deepgram_attempts=9)
    assert set(validation_message(caught.value).split("; ")) == {
        "DEEPGRAM_ATTEMPTS: Input should be less than or equal to 5, and is 9",
        "RESULTS_BUCKET: It has to be set",
        "STATE_BUCKET: String should match pattern '^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$', and is 's'",
    }


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        JobSettings(google_cloud_project="p", results_bucket="results", state_bucket="state", deepgram_api_key=("k",))
    assert validation_message(caught.value).endswith(", and is a secret")


@pytest.mark.parametrize("settings", [{}, {"deepgram_api_key": "k-of-a-test"}, {"job_gpu": "none"}])
def test_settings_that_contradict_each_other_quote_no_key(settings: dict[str, str]) -> None:
    # pydantic's own text has the beginning and the end of all that was given.
    contradiction = {"heartbeat_seconds": 60.0, "lease_seconds": 60.0, **settings}
    with pytest.raises(ValidationError) as caught:
        JobSettings(
            google_cloud_project="p",
            results_bucket="results",
            state_bucket="state",
            **contradiction,  # type: ignore[arg-type]
        )
    assert "LEASE_SECONDS must be at least twice" in validation_message(caught.value)
    assert "input_value" not in str(caught.value)
    assert "k-of-a-test" not in validation_message(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"read_on: yesterday", " is no TOML file: "),
        (b"\xff\xfe", " is no TOML file: "),
        (b"schema_version = 2", "PriceBook cannot be read: schema_version: "),
    ],
)
def test_a_price_book_that_is_none_is_told_by_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "prices.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("PRICE_BOOK", str(path))
    with pytest.raises(UnusablePriceBook, match=f"^PRICE_BOOK: {path}.*{says}"):
        check_settings(CloudOptions())
