"""Speeds learned from runs: robust to odd ones, kept in one object, safe among many writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from google.api_core.exceptions import RetryError
from hypothesis import given
from hypothesis import strategies as st

from shared import objects
from shared.costs.speeds import (
    CACHE_SECONDS,
    WINDOW,
    AudioInSeconds,
    DeviceSpeed,
    Observations,
    Speeds,
    SpeedStore,
    deepgram_figures,
    execution_figures,
    learned_speeds,
)
from tests.support.loopback_cloud import STATE, LoopbackCloud

INITIAL = Speeds({"l4": DeviceSpeed(30.0, 120.0), "cpu": DeviceSpeed(20.0, 10.0)}, 500.0, 100.0)
NAME = "speeds.json"


def after(*x_real_time: float) -> float:
    seen = Observations()
    for value in x_real_time:
        seen = seen.with_run(execution_figures("l4", audio_seconds=value, engine_seconds=1.0))
    return learned_speeds(INITIAL, seen).of("l4").x_real_time


def test_nothing_seen_is_what_the_settings_say() -> None:
    assert learned_speeds(INITIAL, Observations()) == INITIAL


def test_one_odd_run_moves_nothing() -> None:
    assert after(1e6) == 120.0
    assert after(200.0, 200.0, 200.0, 200.0, 1e6) == pytest.approx(200.0)


def test_a_few_equal_runs_take_the_starting_values_place() -> None:
    assert after(200.0, 200.0) == 120.0
    assert after(*[200.0] * 4) == 200.0


@given(st.lists(st.floats(190, 210), min_size=20, max_size=60), st.lists(st.floats(0.001, 1e9), max_size=5))
def test_a_minority_of_odd_runs_stays_within_what_the_others_showed(sound: list[float], odd: list[float]) -> None:
    assert 190 <= after(*sound[:10], *odd, *sound[10:]) <= 210


def test_a_change_of_hardware_shows_after_half_a_window() -> None:
    before = [200.0] * 100
    assert after(*before, *[50.0] * (WINDOW // 2 - 4)) == 200.0
    assert after(*before, *[50.0] * (WINDOW // 2 + 4)) == 50.0


def test_each_figure_is_learned_by_itself() -> None:
    seen = Observations()
    for _ in range(5):
        figures = execution_figures(
            "cpu",
            startup_seconds=9.0,
            audio_seconds=100.0,
            engine_seconds=20.0,
            decode_audio_seconds=60.0,
            decode_seconds=0.3,
        )
        seen = seen.with_run(figures).with_run(deepgram_figures(600.0, 3.0))
    speeds = learned_speeds(INITIAL, seen)
    assert speeds.of("cpu") == DeviceSpeed(9.0, 5.0)
    assert speeds.of("l4") == INITIAL.of("l4")
    assert (speeds.decode_x_real_time, speeds.deepgram_x_real_time) == (200.0, 200.0)


def test_what_a_run_did_not_do_is_not_observed() -> None:
    assert execution_figures("l4") == {}
    assert execution_figures("l4", audio_seconds=0.0, engine_seconds=5.0) == {}
    assert execution_figures("l4", startup_seconds=float("nan"), audio_seconds=9.0, engine_seconds=1e-320) == {}
    assert list(execution_figures("l4", startup_seconds=3.0)) == ["startup_seconds/l4"]


def test_a_short_answer_of_deepgram_shows_the_round_trip_and_is_left_out() -> None:
    assert deepgram_figures(20.0, 2.0) == {}
    assert deepgram_figures(600.0, 0.0) == {}


FIGURES = execution_figures("l4", audio_seconds=300.0, engine_seconds=1.0)


def test_observations_are_kept_for_every_instance(cloud: LoopbackCloud) -> None:
    bucket = cloud.storage.bucket(STATE)
    for _ in range(4):
        assert SpeedStore(bucket).observe(FIGURES)
    assert SpeedStore(bucket).speeds(INITIAL).of("l4").x_real_time == 300.0
    assert cloud.names(STATE) == [NAME]


def test_nothing_observed_writes_nothing(cloud: LoopbackCloud) -> None:
    assert SpeedStore(cloud.storage.bucket(STATE)).observe({})
    assert cloud.names(STATE) == []


def test_observers_at_once_lose_nothing_that_they_report_as_kept(cloud: LoopbackCloud) -> None:
    bucket, runs = cloud.storage.bucket(STATE), [100.0 + number for number in range(12)]

    def observe(value: float) -> bool:
        return SpeedStore(bucket).observe(execution_figures("l4", audio_seconds=value, engine_seconds=1.0))

    with ThreadPoolExecutor(4) as pool:
        kept = [value for value, was_kept in zip(runs, pool.map(observe, runs), strict=True) if was_kept]
    stored = Observations.model_validate_json(bucket.blob(NAME).download_as_bytes())
    assert sorted(stored.figures["x_real_time/l4"]) == kept
    assert len(kept) >= objects.UPDATE_ATTEMPTS


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"figures": {"x_real_time/l4": [-1]}}', b'{"schema_version": 2}'])
def test_malformed_content_counts_as_none_and_is_replaced(cloud: LoopbackCloud, content: bytes) -> None:
    bucket = cloud.storage.bucket(STATE)
    bucket.blob(NAME).upload_from_string(content)
    assert SpeedStore(bucket).speeds(INITIAL) == INITIAL
    assert SpeedStore(bucket).observe(FIGURES)
    assert Observations.model_validate_json(bucket.blob(NAME).download_as_bytes()).figures == {
        "x_real_time/l4": (300.0,)
    }


def test_reading_is_cached_for_a_short_time(cloud: LoopbackCloud) -> None:
    bucket, times = cloud.storage.bucket(STATE), [0.0]
    store = SpeedStore(bucket, clock=lambda: times[0])
    assert store.speeds(INITIAL) == INITIAL
    for _ in range(4):
        SpeedStore(bucket).observe(FIGURES)
    times[0] = CACHE_SECONDS
    assert store.speeds(INITIAL) == INITIAL
    times[0] = CACHE_SECONDS + 0.1
    assert store.speeds(INITIAL).of("l4").x_real_time == 300.0


@pytest.mark.parametrize("error", [RetryError("too late", None), requests.ConnectionError("no route")])
def test_a_store_that_does_not_answer_at_all_stops_no_decision_either(
    cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    # The client itself retries for two minutes before it gives up so.
    def silent(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(objects, "read", silent)
    store = SpeedStore(cloud.storage.bucket(STATE))
    assert store.speeds(INITIAL) == INITIAL
    assert not store.observe({"decode_x_real_time": 7.0})


def test_a_store_that_cannot_be_reached_stops_no_decision(cloud: LoopbackCloud) -> None:
    store = SpeedStore(cloud.storage.bucket(STATE))
    cloud.storage_server.fail_next(2, 403, "GET", NAME)
    assert store.speeds(INITIAL) == INITIAL
    assert not store.observe(FIGURES)


def test_another_models_speed_is_learned_by_device_and_what_was_stored_before_stays_the_own_ones() -> None:
    initial = Speeds({"cpu": DeviceSpeed(9.0, 120.0), "l4": DeviceSpeed(20.0, 900.0)}, 1000.0, 40.0)
    seen = Observations(figures={"x_real_time/cpu": (200.0,) * 9})  # of a version that knew no models
    slow = {"whisper-base": AudioInSeconds(300.0, 100.0), "nvidia/parakeet-tdt-0.6b-v3": AudioInSeconds(100.0, 1.0)}
    for _ in range(9):
        seen = seen.with_run(execution_figures("cpu", models=slow))
    learned = learned_speeds(initial, seen)
    assert learned.for_model(None) == learned
    speeds = {model: learned.for_model(model).of("cpu").x_real_time for model in (*slow, "never-seen")}
    assert speeds == {"whisper-base": 3.0, "nvidia/parakeet-tdt-0.6b-v3": 100.0, "never-seen": 200.0}
    assert learned.for_model("whisper-base").of("l4") == initial.of("l4")
    # As queues count it: 60 s take Whisper as long as 4,000 s take the own model.
    assert learned.own_model_seconds(60.0, "cpu", "whisper-base") == pytest.approx(4000.0)
    unchanged = (("cpu", None), ("cpu", "never-seen"), ("l4", "whisper-base"), ("unknown", "whisper-base"))
    assert [learned.own_model_seconds(60.0, *where) for where in unchanged] == [60.0] * 4
    assert learned.for_model("whisper-base").of("cpu").startup_seconds == learned.of("cpu").startup_seconds


def test_figures_of_devices_that_are_not_quoted_and_models_that_took_no_time_say_nothing() -> None:
    seen = Observations(figures={"x_real_time/gone/whisper": (3.0,), "decode_x_real_time": (5.0,)})
    assert learned_speeds(Speeds({"cpu": DeviceSpeed(9.0, 120.0)}, 1000.0, 40.0), seen).models == {}
    assert execution_figures("cpu", models={"whisper": AudioInSeconds(3.0, 0.0)}) == {}
