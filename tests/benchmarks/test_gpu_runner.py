"""Steps that hang, die or leave processes behind: what they wrote counts, and the next step runs as if alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gpu import runner
from benchmarks.gpu import step as step_module
from benchmarks.gpu.figures import Figures, read_rows
from benchmarks.gpu.processes import adopting_orphans, descendants, end_descendants
from benchmarks.gpu.runner import FIGURES, run_steps
from benchmarks.gpu.steps import Step
from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.report import Measurement

STEP = """
import os, pathlib, subprocess, sys, time
from benchmarks.gpu.figures import Figures
from benchmarks.gpu.subject_rows import figure

name, file = sys.argv[1], pathlib.Path(sys.argv[2])
figures = Figures(file)
figures.add(figure(name + " before the end", 3.0, "x"))
figures.begin("the part")
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
file.with_name(name + ".pid").write_text(str(sleeper.pid))
if name == "hangs":
    time.sleep(300)
if name == "dies":
    os._exit(9)
figures.end()
os._exit(0)
"""
"""Each leaves a process in a session of its own behind, as a job's worker is."""
FIGURE = """
from benchmarks.report import Measurement

def figure(name, value, unit):
    return Measurement("gpu: " + name, value, unit, "", "-", None)
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose steps are STEP."""
    ours = Path(runner.__file__).parents[1]
    folder = tmp_path / "tree" / "benchmarks" / "gpu"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder.parent / "report.py").write_bytes((ours / "report.py").read_bytes())
    (folder / "figures.py").write_bytes((ours / "gpu" / "figures.py").read_bytes())
    (folder / "subject_rows.py").write_text(FIGURE)
    (folder / "step.py").write_text(textwrap.dedent(STEP))
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "tree"))
    monkeypatch.setattr(runner, "LEAST_SECONDS", 0.5)
    return tmp_path / "out"


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("name", "seconds", "why"),
    [("hangs", 4.0, "ended after 4 s"), ("dies", 60.0, "ended with status 9"), ("ends", 60.0, "")],
)
def test_a_step_costs_no_other_anything(tree: Path, name: str, seconds: float, why: str) -> None:
    began = time.monotonic()

    rows = run_steps([Step(name, "", seconds), Step("next", "", 60.0), Step("late", "", 0.1)], tree, 100.0, dry=True)

    broken = [] if not why else [("gpu: the part", False), (f"gpu: {name}", False)]
    own = [(f"gpu: {name} before the end", None), *broken]
    assert [(row.name, row.holds) for row in rows] == [*own, ("gpu: next before the end", None), ("gpu: late", False)]
    assert [row.peer for row in rows if row.name in (f"gpu: {name}", "gpu: late")][-2:] == [
        *([why] if why else []),
        "left out: 0 s were left",
    ]
    assert read_rows(tree / FIGURES) == rows
    assert time.monotonic() - began < 60
    assert not any(is_alive(int((tree / f"{one}.pid").read_text())) for one in (name, "next"))


def test_processes_that_ran_before_a_step_are_spared_with_what_they_start() -> None:
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with adopting_orphans():
        others = descendants(os.getpid())
        kept = subprocess.Popen([sys.executable, "-c", starts])
        other = subprocess.Popen([sys.executable, "-c", starts], start_new_session=True)
        try:
            while not (descendants(kept.pid) and descendants(other.pid)):
                time.sleep(0.05)
            its_own = descendants(kept.pid)

            assert end_descendants(but={*others, kept.pid}) == 2

            assert kept.poll() is None
            assert descendants(kept.pid) == its_own
            assert not is_alive(other.pid)
        finally:
            end_descendants(but=others)
            kept.wait()
            other.wait()


def test_the_file_says_what_is_measured_until_the_next_figure(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    figures = Figures(file)
    figures.begin("one")
    assert [row.name for row in read_rows(file)] == ["gpu: one"]
    figures.add(figure("first", 1.0, "x"))
    figures.begin("two")
    assert [(row.name, row.holds) for row in read_rows(file)] == [("gpu: first", None), ("gpu: two", False)]
    figures.end()
    later = Figures(file)
    later.add(figure("second", 2.0, "x"))
    assert [row.name for row in read_rows(file)] == ["gpu: first", "gpu: second"]


def test_what_is_measured_when_the_time_is_over_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def long() -> Iterator[Measurement]:
        yield figure("first", 1.0, "x")
        try:
            time.sleep(60)
        finally:
            ended.append("long")

    parts = [Part("long", long), Part("next", lambda: [figure("never", 1.0, "x")])]
    monkeypatch.setattr(step_module, "STEPS", [Step("one", "", 60.0)])
    monkeypatch.setattr(Step, "parts", lambda step, subject: iter(parts))
    monkeypatch.setattr(Subject, "dry", lambda: None)
    before = signal.getsignal(signal.SIGALRM)
    try:
        status = step_module.main(["one", str(tmp_path / "gpu.json"), "0.5"])
    finally:
        signal.signal(signal.SIGALRM, before)

    assert status == 1
    assert ended == ["long"]
    assert [row.name for row in read_rows(tmp_path / "gpu.json")] == ["gpu: first", "gpu: long", "gpu: next"]
    assert [row.peer[:16] for row in read_rows(tmp_path / "gpu.json")[1:]] == ["failed: TimeIsUp", "left out: 0 s we"]


def test_nothing_is_begun_behind_the_alarm_though_it_rang_early() -> None:
    def rings() -> Iterator[Measurement]:
        raise step_module.TimeIsUp
        yield

    rows = step_module.measured([Part("long", rings), Part("next", lambda: [figure("never", 1.0, "x")])], 60.0)
    assert [row.name for row in rows] == ["gpu: long", "gpu: next"]


def test_without_its_model_a_step_is_left_out_and_the_others_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "tree" / "benchmarks"
    (package / "model_load.py").write_text("import sys; sys.exit('no room')")

    rows = run_steps([Step("with", "", 60.0, needs_model=True), Step("ends", "", 60.0)], tree, 100.0, dry=False)

    assert [(row.name, row.holds) for row in rows] == [("gpu: with", False), ("gpu: ends before the end", None)]
    assert rows[0].peer == "left out: the model was not written (status 1, model.log)"
    assert "no room" in (tree / "model.log").read_text()
