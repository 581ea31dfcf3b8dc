"""The function's settings, read from the environment as the deployment writes it."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from shared.enums import Method
from trigger_function.settings.function import FunctionSettings

NEEDED = {
    "GOOGLE_CLOUD_PROJECT": "project",
    "RESULTS_BUCKET": "my-results",
    "STATE_BUCKET": "my.state_1",
    "GPU_JOB": "projects/p/locations/l/jobs/j",
}
Environment = dict[str, str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*(field.upper() for field in FunctionSettings.model_fields), "COST_THRESHOLD_PER_HOUR"} & set(
        os.environ
    ):
        monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> FunctionSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return FunctionSettings()


def test_the_needed_ones_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch)
    assert (made.google_cloud_project, made.transcription_method, made.cpu_job) == ("project", "auto", None)


@pytest.mark.parametrize("name", [name for name in NEEDED if name != "GPU_JOB"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=rf"(?m)^{name.lower()}\b"):
        settings(monkeypatch)


@pytest.mark.parametrize("given", ["GPU_JOB", "CPU_JOB", "DEEPGRAM_API_KEY"])
def test_one_engine_is_needed_and_enough(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    with pytest.raises(ValidationError, match="nothing can transcribe"):
        settings(monkeypatch, GPU_JOB="")
    assert settings(monkeypatch, **{"GPU_JOB": "", given: NEEDED["GPU_JOB"]}).has_gpu_job is (given == "GPU_JOB")


def test_a_job_without_a_gpu_is_no_gpu_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="JOB_GPU=none describes no GPU_JOB"):
        settings(monkeypatch, JOB_GPU="none")


def test_an_empty_optional_one_is_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    # Terraform writes an unset variable as "".
    empty = dict.fromkeys(("CPU_JOB", "DEEPGRAM_API_KEY", "PRICE_BOOK", "PARAKEET_MAX_MB", "IGNORE_PATTERNS"), "")
    assert settings(monkeypatch, **empty) == FunctionSettings.model_validate(
        {name.lower(): value for name, value in NEEDED.items()}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RESULTS_BUCKET", "gs://bucket"),
        ("RESULTS_BUCKET", "Bucket"),
        ("STATE_BUCKET", "ab"),
        ("STATE_BUCKET", "state/"),
        ("STATE_BUCKET", "-state"),
        ("GPU_JOB", "transcribe"),
        ("GPU_JOB", "projects/p/locations/l/jobs/j/executions/e"),
        ("CPU_JOB", "transcribe"),
        ("RUN_ENDPOINT", "127.0.0.1:80"),
        ("TRANSCRIPTION_METHOD", "whisper"),
        ("ENABLE_FALLBACK", "perhaps"),
        ("PARAKEET_MAX_MB", "0"),
        ("PARAKEET_MAX_MB", "50 MB"),
        ("MAX_ATTEMPTS", "0"),
        ("SIGNED_URL_SECONDS", "604801"),
        ("DEEPGRAM_ATTEMPTS", "6"),
        ("LOG_LEVEL", "LOUD"),
        ("COST_OPTIMIZATION", "perhaps"),
        ("TIME_VALUE_USD_PER_MINUTE", "-0.01"),
        ("MAX_COMPLETION_MINUTES", "0"),
        ("MAX_COST_PER_AUDIO_HOUR_USD", "0"),
        ("GPU_MIN_MONTHLY_FILES", "-1"),
        ("GPU_ROLLOUT_PERCENT", "101"),
        ("GPU_X_REAL_TIME", "0"),
        ("JOB_VCPU", "0"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?m)^{name.lower()}\b"):
        settings(monkeypatch, **{name: value})


@pytest.mark.parametrize(
    "hours",
    [
        {"PARAKEET_MAX_MINUTES": "121"},
        {"SHORT_FILE_THRESHOLD_HOURS": "4.1"},
        {"LONG_FILE_THRESHOLD_HOURS": "1.9"},
        {"SHORT_FILE_THRESHOLD_HOURS": "0.4"},
    ],
)
def test_the_tables_borders_must_ascend(monkeypatch: pytest.MonkeyPatch, hours: Environment) -> None:
    with pytest.raises(ValidationError, match="must ascend"):
        settings(monkeypatch, **hours)


def test_borders_may_fall_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(
        monkeypatch, PARAKEET_MAX_MINUTES="60", SHORT_FILE_THRESHOLD_HOURS="1", LONG_FILE_THRESHOLD_HOURS="1"
    )
    assert made.short_file_threshold_hours == made.long_file_threshold_hours == 1


def test_values_are_read_as_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(
        monkeypatch, TRANSCRIPTION_METHOD="deepgram", ENABLE_GPU_TRANSCRIPTION="0", LOG_LEVEL="debug", MAX_ATTEMPTS="5"
    )
    assert (made.transcription_method, made.enable_gpu_transcription, made.max_attempts) == (Method.DEEPGRAM, False, 5)


def test_a_key_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, DEEPGRAM_API_KEY="top-secret")
    assert "top-secret" not in repr(made) + str(made) + made.model_dump_json()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("calls/", "folder marker"),
        ("calls/.hidden.mp3", "matches IGNORE_PATTERNS .*"),
        (".DS_Store", "matches IGNORE_PATTERNS .*"),
        ("a/b.mp3.part", "matches IGNORE_PATTERNS *.part"),
        ("a/b.csv", "matches IGNORE_PATTERNS *.csv"),
        ("a/Thumbs.db", "matches IGNORE_PATTERNS Thumbs.db"),
        ("a/b.mp3", None),
        ("b", None),
        (".config/b.mp3", None),
        ("a.tmp/b.mp3", None),
        ("a.json/1/b.mp3", None),
        ("a/keyterms.txt", "list of key terms"),
        ("a/b.mp3.speakers.json", "names of speakers"),
    ],
)
def test_a_files_own_name_decides_whether_it_is_ignored(
    monkeypatch: pytest.MonkeyPatch, name: str, why: str | None
) -> None:
    assert settings(monkeypatch).ignores(name) == why


def test_a_cost_limit_has_its_older_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).max_cost_per_audio_hour_usd is None
    assert settings(monkeypatch, COST_THRESHOLD_PER_HOUR="0.10").max_cost_per_audio_hour_usd == 0.1
    assert settings(monkeypatch, MAX_COST_PER_AUDIO_HOUR_USD="0.2").max_cost_per_audio_hour_usd == 0.2


@pytest.mark.parametrize(("gpu", "device"), [("nvidia-l4", "nvidia-l4"), ("none", "cpu"), ("", "nvidia-l4")])
def test_the_jobs_hardware_has_a_speed_to_start_from(monkeypatch: pytest.MonkeyPatch, gpu: str, device: str) -> None:
    made = settings(monkeypatch, JOB_GPU=gpu, GPU_JOB="", CPU_JOB=NEEDED["GPU_JOB"])
    assert made.shape.device == device
    assert made.initial_speeds(made.shape.gpu).of(device).x_real_time > 1


def test_patterns_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, IGNORE_PATTERNS=" *.bak , draft-?.* ,,")
    assert made.ignore_patterns == ("*.bak", "draft-?.*")
    assert made.ignores("a/draft-1.mp3") == "matches IGNORE_PATTERNS draft-?.*"
    assert made.ignores("a/.hidden.mp3") is None
    assert made.ignores("a/") == "folder marker"
