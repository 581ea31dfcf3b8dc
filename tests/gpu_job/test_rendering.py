"""Long transcripts are rendered in another process, to the same bytes, and whatever becomes of that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_job.rendering import process
from gpu_job.rendering.process import LEAST_WORDS, RenderingProcess
from shared.enums import Engine, ResultFormat
from shared.media import Upload
from shared.options.subtitle_rules import SubtitleRules
from shared.state.result_files import ResultFiles
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, Word
from shared.transcript.render import InPieces, Rendered, render
from tests.support.child_processes import child_processes
from tests.support.loopback_cloud import RESULTS, LoopbackCloud
from tests.support.waiting import wait_until

RULES = SubtitleRules(columns=30, lines=3, chars_per_second=12.5)


def transcript(words: int, text: str = "d\u00e9j\u00e0 <vu> \U0001f600") -> Transcript:
    said = [Word(text=f"{text}{number}", start=number / 3, end=number / 3 + 0.3) for number in range(words)]
    return compose(
        job_id="0" * 24,
        source="gs://b/a.mp3#1",
        duration=words / 3,
        language="fr",
        model="tiny",
        passages=[Passage(Engine.PARAKEET_CPU, said)],
        loudness=(-20, -100),
    )


LONG = transcript(LEAST_WORDS)
FILES = render(LONG, RULES)


@pytest.fixture
def rendering() -> Iterator[RenderingProcess]:
    one = RenderingProcess()
    yield one
    one.close()


class Children:
    """This process's children since the test began: others, such as a browser's driver, may have been there before."""

    def __init__(self) -> None:
        self._others = child_processes(os.getpid())

    def now(self) -> set[int]:
        return child_processes(os.getpid()) - self._others

    def only(self) -> int:
        (pid,) = self.now()
        return pid


@pytest.fixture
def children() -> Children:
    return Children()


def test_a_long_transcript_has_the_same_files(rendering: RenderingProcess, children: Children) -> None:
    assert rendering.render(LONG, RULES) == FILES
    first = children.only()
    assert rendering.render(LONG, RULES) == FILES
    assert children.only() == first
    rendering.close()
    assert children.now() == set()


@pytest.mark.parametrize("kept_words", [process.MOST_KEPT_WORDS, LEAST_WORDS - 1], ids=["long", "very long"])
def test_only_the_files_are_made_that_are_asked_for(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch, kept_words: int
) -> None:
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", kept_words)
    made = {file.name: file for file in FILES}
    asked = rendering.render(LONG, RULES, (ResultFormat.HTML, ResultFormat.SRT))
    files = tuple(file.joined() for file in asked)
    assert files == (made["transcript.json"], made["transcript.srt"], made["transcript.html"])


def test_a_short_one_needs_no_process(rendering: RenderingProcess, children: Children) -> None:
    short = transcript(LEAST_WORDS - 1)
    assert rendering.render(short, RULES) == render(short, RULES)
    assert children.now() == set()


def test_where_it_is_killed_the_worker_renders_by_itself(rendering: RenderingProcess, children: Children) -> None:
    rendering.render(LONG, RULES)
    killed = children.only()
    os.kill(killed, signal.SIGKILL)
    assert rendering.render(LONG, RULES) == FILES
    assert rendering.render(LONG, RULES) == FILES
    assert children.only() != killed


def test_where_it_takes_too_long_the_worker_renders_by_itself(children: Children) -> None:
    impatient = RenderingProcess(limit_seconds=0.0)
    assert impatient.render(LONG, RULES) == FILES
    impatient.close()
    assert children.now() == set()


@pytest.mark.parametrize("killed_behind", [None, 0, 1, 5])
def test_the_files_of_a_very_long_one_are_made_one_by_one_and_no_memory_is_kept(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch, children: Children, killed_behind: int | None
) -> None:
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", LEAST_WORDS - 1)
    files: list[Rendered] = []
    for file in rendering.render(LONG, RULES):
        if len(files) == killed_behind:
            os.kill(children.only(), signal.SIGKILL)
        files.append(file.joined())
    assert tuple(files) == FILES
    assert children.now() == set()


def test_where_it_is_killed_within_a_file_the_worker_makes_the_rest(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", LEAST_WORDS - 1)
    very_long = transcript(10 * LEAST_WORDS)  # more than a pipe holds
    files = iter(rendering.render(very_long, RULES))
    first, second = next(files).joined(), next(files)
    assert isinstance(second, InPieces)
    pieces = iter(second.pieces)
    taken = [next(pieces), next(pieces)]
    os.kill(children.only(), signal.SIGKILL)
    whole = Rendered(second.name, second.content_type, b"".join([*taken, *pieces]))
    assert (first, whole, *(file.joined() for file in files)) == render(very_long, RULES)


def test_what_is_not_read_of_a_file_is_not_taken_for_the_next_one(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another worker has stored it."""
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", LEAST_WORDS - 1)
    given = iter(rendering.render(LONG, RULES))
    assert isinstance(next(given), InPieces)
    second = next(given)
    assert isinstance(second, InPieces)
    next(iter(second.pieces))
    assert tuple(file.joined() for file in given) == FILES[2:]


def test_the_files_of_a_very_long_one_are_stored_once(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch, cloud: LoopbackCloud
) -> None:
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", LEAST_WORDS - 1)
    upload, bucket = Upload(bucket="uploads", name="a", generation=1), cloud.storage.bucket(RESULTS)
    results = ResultFiles(bucket, "", rendering.render)
    _, addresses = results.store_transcript(upload, LONG, RULES)
    first = {blob.name: blob.generation for blob in bucket.list_blobs()}
    assert results.store_transcript(upload, LONG, RULES) == (LONG, addresses)
    assert {blob.name: blob.generation for blob in bucket.list_blobs()} == first
    stored = {name: bucket.blob(f"a/1/{name}").download_as_bytes() for name in addresses}
    assert stored == {file.name: file.data for file in FILES}


def test_who_needs_no_more_files_ends_the_process(
    rendering: RenderingProcess, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    """Storing transcript.json failed, or another worker had stored another one."""
    monkeypatch.setattr(process, "MOST_KEPT_WORDS", LEAST_WORDS - 1)
    files = iter(rendering.render(LONG, RULES))
    assert next(files).joined() == FILES[0]
    assert children.only()
    del files
    assert children.now() == set()


def test_it_ends_with_the_worker() -> None:
    """However that ends: the pipe between them is closed then."""
    program = (
        "import os; from tests.gpu_job.test_rendering import *; rendering, children = RenderingProcess(), Children();"
        "rendering.render(LONG, RULES); print(children.only(), flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    child = int(done.stdout)
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), "its end")
