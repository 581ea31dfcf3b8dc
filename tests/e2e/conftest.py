"""The clouds of the end-to-end tests, and outsiders who use them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_job.audio.ffmpeg_command import ffmpeg
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, UPLOADS, LaptopCloud
from infra.recordings import recording
from tests.support.outsider import Outsider

Convert = Callable[..., Path]


def outsider_of(cloud: LaptopCloud) -> Outsider:
    """Somebody new with a subscription to the results of `cloud`."""
    return Outsider(cloud.storage(), cloud.subscriber(), UPLOADS, f"projects/{PROJECT}/topics/{RESULTS_TOPIC}")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    """One cloud for all tests that need no settings of their own."""
    with LaptopCloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def outsider(cloud: LaptopCloud) -> Outsider:
    """An outsider of the shared cloud, on which nothing else is at work."""
    cloud.eventarc.wait_idle(60)
    cloud.runner.wait_idle(60)
    return outsider_of(cloud)


@pytest.fixture(scope="session")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """convert("long_seen", "a.mp3", *options): a shipped recording as another file, options before its input."""
    folder = tmp_path_factory.mktemp("converted")

    def made(source: str, name: str, *before: str, after: tuple[str, ...] = ()) -> Path:
        path = folder / name
        command = [ffmpeg(), "-nostdin", "-v", "error", "-y", *before, "-i", str(recording(source).path), *after]
        subprocess.run([*command, str(path)], check=True, timeout=120)
        return path

    return made
