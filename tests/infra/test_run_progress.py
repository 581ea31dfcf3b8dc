"""What `dropscribe run` says while it runs: how long it will take, how far it is; nothing odd in a pipe."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from infra.cli.local.machine_speeds import MachineSpeeds
from infra.cli.local.prediction import predicted
from infra.cli.progress.fetch import FetchProgress
from infra.cli.progress.time_left import Estimate, TimeLeft, audio_of_all
from infra.cli.progress.transcription import RunProgress, shortened_name
from infra.recordings import recording
from shared.costs.speeds import DeviceSpeed
from shared.enums import Outcome
from shared.media import Media, Upload
from shared.messages import TerminalMessage, event_id
from shared.options.model import UploadOptions
from shared.progress.describe import rough_duration
from shared.settings.speeds import SpeedSettings
from shared.state.jobs.progress import progress_of
from shared.state.jobs.record import JobRecord, JobState

AT = datetime(2026, 11, 28, tzinfo=UTC)
INITIAL = SpeedSettings(cpu_startup_seconds=30.0, cpu_x_real_time=20.0).initial_speeds(None)
MEDIA = Media(
    container="wav", codec="pcm_s16le", duration_seconds=600.0, sample_rate_hz=16000, channels=1, size_bytes=19_200_044
)


def record(name: str, state: JobState, *, decoded: float = 0.0, transcribed: float = 0.0) -> JobRecord:
    return JobRecord(
        upload=Upload(bucket="uploads", name=name, generation=1),
        state=state,
        holder="worker",
        lease_until=AT + timedelta(seconds=15),
        received_at=AT,
        media=MEDIA,
        decoded_seconds=decoded,
        transcribed_seconds=transcribed,
    )


def completed(name: str) -> TerminalMessage:
    upload = Upload(bucket="uploads", name=name, generation=1)
    return TerminalMessage(
        event_id=event_id(upload.job_id),
        job_id=upload.job_id,
        upload=upload,
        outcome=Outcome.COMPLETED,
        media=MEDIA,
        received_at=AT,
        finished_at=AT,
    )


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (7.4, "7 s"), (23, "25 s"), (59, "1 min"), (1000, "17 min"), (3601, "1 h"), (12_000, "3 h 20 min")],
)
def test_an_estimate_has_no_more_digits_than_it_is_worth(seconds: float, words: str) -> None:
    assert rough_duration(seconds) == words


def test_the_first_estimate_is_start_up_and_audio_at_the_expected_speed() -> None:
    estimate = Estimate(3, 3900.0, DeviceSpeed(20.0, 12.5), is_measured=True)
    assert estimate.seconds == pytest.approx(20 + 3900 / 12.5)
    assert str(estimate) == "3 files, 1:05:00 of audio: about 6 min (12 x real time, as measured here before)"


def test_what_time_was_too_short_to_look_into_is_taken_to_be_like_the_rest() -> None:
    assert audio_of_all([(1000, 10.0), (3000, 50.0)], [2000, 2000]) == pytest.approx(60 + 4000 * 60 / 4000)
    assert audio_of_all([], [2000]) == 0.0


def test_time_left_follows_the_prediction_until_there_is_a_speed() -> None:
    left = TimeLeft(600.0, 50.0)
    assert left.seconds(10.0) == pytest.approx(40.0)
    assert left.seconds(60.0) is None
    left.add(20.0, 30.0)
    assert left.x_real_time is None
    left.add(30.0, 130.0)
    assert left.x_real_time == pytest.approx(10.0)
    # 10 s at 10 x real time, and 15 s at the expected 12: 11.2.
    assert left.seconds(30.0) == pytest.approx(470 / 11.2)
    assert left.seconds(32.0) == pytest.approx(470 / 11.2 - 2)


def test_without_a_prediction_time_left_is_by_the_measured_speed_alone() -> None:
    left = TimeLeft(600.0, 0.0)
    assert left.seconds(1.0) is None
    left.add(10.0, 100.0)
    left.add(20.0, 200.0)
    assert left.seconds(20.0) == pytest.approx(40.0)


def test_the_speed_is_that_of_the_last_minute() -> None:
    left = TimeLeft(10_000.0, 0.0)
    for second in range(1, 101):
        left.add(float(second), 100.0 * second)
    for second in range(101, 201):
        left.add(float(second), 10_000.0 + 10.0 * (second - 100))
    assert left.x_real_time == pytest.approx(10.0)


def test_a_machine_remembers_its_speed_with_each_model(tmp_path: Path) -> None:
    MachineSpeeds("a", tmp_path).keep(8.0, None)
    assert not MachineSpeeds("a", tmp_path).is_measured
    MachineSpeeds("a", tmp_path).keep(12.0, 5.0)
    kept = MachineSpeeds("a", tmp_path)
    assert kept.is_measured
    assert kept.expected(INITIAL) == DeviceSpeed(startup_seconds=10.0, x_real_time=5.0)
    assert MachineSpeeds("b", tmp_path).expected(INITIAL) == DeviceSpeed(startup_seconds=30.0, x_real_time=20.0)


@pytest.mark.parametrize(
    "content", [b"", b"no JSON", b'{"schema_version": 9}', b'{"figures": {"x_real_time/cpu": [0]}}']
)
def test_a_file_of_speeds_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    MachineSpeeds("a", tmp_path).keep(8.0, 5.0)
    [path] = tmp_path.iterdir()
    path.write_bytes(content)
    assert MachineSpeeds("a", tmp_path).expected(INITIAL).x_real_time == 20.0
    MachineSpeeds("a", tmp_path).keep(8.0, 5.0)
    assert MachineSpeeds("a", tmp_path).expected(INITIAL).x_real_time == 5.0


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_speed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    MachineSpeeds("a", tmp_path / "file").keep(8.0, 5.0)
    assert not MachineSpeeds("a", tmp_path / "file").is_measured


def test_files_are_looked_into_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no recording")
    call = recording("call")
    paths = [call.path, tmp_path / "gone.wav", tmp_path / "text.wav"]
    estimate = predicted(paths, UploadOptions(), MachineSpeeds("a", tmp_path / "speeds"))
    assert estimate.audio_seconds == pytest.approx(call.duration, abs=0.1)
    assert (estimate.files, estimate.is_partial, estimate.is_measured) == (3, False, False)


def printed(console_file: io.StringIO) -> list[str]:
    return console_file.getvalue().splitlines()


def test_in_a_pipe_each_stage_of_a_file_is_a_plain_line_once() -> None:
    output = io.StringIO()
    with RunProgress(Console(file=output), ["a.wav", "b.wav"], audio_seconds=1200.0) as progress:
        progress.stage("a.wav", "being copied")
        for state in (JobState.CLAIMED, JobState.QUEUED, JobState.QUEUED, JobState.RUNNING):
            progress.update(progress_of(record("a.wav", state)))
        for decoded, transcribed in ((60.0, 0.0), (300.0, 30.0), (600.0, 300.0), (600.0, 600.0)):
            running = record("a.wav", JobState.RUNNING, decoded=decoded, transcribed=transcribed)
            progress.update(progress_of(running))
        progress.finish(completed("a.wav"))
    checked = "checking that no words are missing"
    stages = ["being inspected", "waiting", "starting", "decoding", "transcribing", checked, "completed"]
    assert printed(output) == [f"a.wav: {stage}" for stage in stages]


def terminal(updates: Sequence[tuple[float, JobRecord]], names: Sequence[str], predicted_seconds: float) -> str:
    """What stands on a terminal after the updates, each at its second, as one text without colours."""
    output, clock = io.StringIO(), Clock()
    console = Console(file=output, force_terminal=True, width=100, color_system=None)
    audio_seconds = 600.0 * len(names)
    progress = RunProgress(
        console, names, audio_seconds=audio_seconds, predicted_seconds=predicted_seconds, clock=clock
    )
    with progress:
        for clock.now, update in updates:
            progress.update(progress_of(update))
    return output.getvalue()


def test_on_a_terminal_a_file_has_percent_speed_and_time_left() -> None:
    running = JobState.RUNNING
    first = terminal([(10.0, record("a.wav", running, decoded=60.0))], ["a.wav"], 60.0)
    assert "decoding 10%, 50 s left" in first
    updates = [(20.0, record("a.wav", running, decoded=300.0, transcribed=60.0))]
    updates += [(30.0, record("a.wav", running, decoded=450.0, transcribed=150.0))]
    shown = terminal(updates, ["a.wav"], 60.0)
    assert "transcribing 25%, decoded 75%, 9.0 x real time, 45 s left" in shown


def test_on_a_terminal_many_files_share_a_line_and_names_are_shortened() -> None:
    long = "a recording of a long day at the office, second part.wav"
    names = [long, *(f"{number}.wav" for number in range(20))]
    updates = [(1.0, record(name, JobState.RUNNING, decoded=60.0, transcribed=30.0)) for name in names]
    shown = terminal(updates, names, 100.0)
    assert "21 files" in shown
    assert long not in shown
    assert shortened_name(long) in shown
    assert len(shortened_name(long)) == 26
    assert "7.wav" not in shown.replace("17.wav", "")


@pytest.mark.parametrize("name", ["short.wav", "x" * 27, "日本語の録音" * 9, "[bold]" * 9])
def test_a_shortened_name_fits(name: str) -> None:
    console = Console(width=100)
    assert console.measure(shortened_name(name)).maximum <= 26
    assert shortened_name(name)[:4] == name[:4]


# Fetching a model.


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Plan:
    """What fetching a model of 650 MB begins with."""

    present_bytes: int = 0
    total_bytes: int = 650 * 10**6
    free_bytes: int = 20 * 10**9
    model: Named = Named("nvidia/parakeet-tdt-0.6b-v2")
    url: str = "https://huggingface.co/istupakov/parakeet"
    cache: Path = Path("/home/me/.cache/huggingface/hub")


def test_a_fetch_in_a_pipe_is_two_lines_with_sizes() -> None:
    output = io.StringIO()
    with FetchProgress(Console(file=output, width=80)) as fetch:
        fetch.planned(Plan(present_bytes=150 * 10**6))
        for _ in range(50):
            fetch.received(10**7)
    assert printed(output) == [
        "Fetching nvidia/parakeet-tdt-0.6b-v2 from https://huggingface.co/istupakov/parakeet: 650 MB (150 MB of it are"
        " here already) into /home/me/.cache/huggingface/hub, where 20,000 MB are free.",
        "The model is here; from now on it takes no network.",
    ]


def test_a_fetch_on_a_terminal_shows_percent_and_size() -> None:
    output = io.StringIO()
    with FetchProgress(Console(file=output, width=120, force_terminal=True, color_system=None)) as fetch:
        fetch.planned(Plan())
        fetch.received(325 * 10**6)
    assert "50%, 325.0/650.0 MB" in output.getvalue()


def test_a_fetch_that_fails_or_has_nothing_to_fetch_claims_nothing() -> None:
    output = io.StringIO()

    def fetch_in_vain() -> None:
        with FetchProgress(Console(file=output, width=2000)) as fetch:
            fetch.planned(Plan())
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fetch_in_vain()
    assert len(printed(output)) == 1
    with FetchProgress(Console(file=output)) as fetch:
        fetch.planned(Plan(present_bytes=650 * 10**6))
    assert len(printed(output)) == 1
