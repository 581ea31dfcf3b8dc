"""The file that brings the GPU's benchmark its packages."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from benchmarks.gpu.bundle import File, installed, left_at_home, pack, pins, plain, read_by_steps, tree_files


def wheel(folder: Path, name: str, files: dict[str, bytes], executable: str = "") -> Path:
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as written:
        for file, data in files.items():
            info = zipfile.ZipInfo(file)
            info.external_attr = (0o755 if file == executable else 0o644) << 16
            written.writestr(info, data)
    return path


def test_every_package_has_the_version_that_is_tested() -> None:
    found = pins()
    assert found
    assert "nemo-toolkit==3.0.0" in [pin.lower().replace("_", "-") for pin in found]


def test_a_package_without_a_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("# none\nunknown\n")
    with pytest.raises(KeyError):
        pins(tmp_path / "packages")


LATE = ("sentencex",)
"""What a worker of the steps imports in the middle of its work: where sentences end."""


def test_what_is_imported_late_is_brought() -> None:
    """The functions framework imports it late, and without it binds the port again that it was given bound."""
    assert {"gunicorn", *LATE} <= {pin.partition("==")[0] for pin in pins()}


def test_files_stand_where_they_would_be_installed_without_what_nothing_reads(tmp_path: Path) -> None:
    files = {
        "one/__init__.py": b"import one",
        "one/run": b"#!",
        "one/core.pyx": b"source",
        "one/tests/test_one.py": b"test",
        "one-1.0.data/purelib/two.py": b"two",
        "one-1.0.data/scripts/one": b"script",
        "one-1.0.dist-info/METADATA": b"Name: one",
    }
    first = wheel(tmp_path, "one-1.0", files, executable="one/run")

    found = list(installed([first, wheel(tmp_path, "three-2.0", {"three.py": b"3"})]))

    assert {file.name: file.mode for file in found} == {
        "one/__init__.py": 0o644,
        "one/run": 0o755,
        "two.py": 0o644,
        "one-1.0.dist-info/METADATA": 0o644,
        "three.py": 0o644,
    }


def test_the_bundle_has_folders_of_files_with_their_modes(tmp_path: Path) -> None:
    sizes = pack(
        {"site": [File("a/b.py", b"1"), File("run", b"#!", 0o755)], "tree": iter([File("a/b.py", b"tree")])},
        tmp_path / "bundle.tar.xz",
    )

    assert sizes == {"site": 3, "tree": 4}
    with tarfile.open(tmp_path / "bundle.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    assert [(tmp_path / name).read_bytes() for name in ("site/a/b.py", "tree/a/b.py", "site/run")] == [
        b"1",
        b"tree",
        b"#!",
    ]
    assert os.access(tmp_path / "site" / "run", os.X_OK)


def test_of_the_project_what_steps_read_is_brought(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("docs/page.md", "benchmarks/one.py", "gpu_job/speakers/embedding.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("docs")
    assert list(read_by_steps(tmp_path)) == [File("benchmarks/one.py", b"benchmarks/one.py")]


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "on_device.sh"
TOLD = """
import json, os, pathlib, sys
import brought
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(out / "gpu.json").write_text(json.dumps([sys.argv[1:], os.getcwd(), brought.__file__]))
print("x" * 1000)
sys.exit(3)
"""


def test_the_script_unpacks_the_bundle_and_runs_the_steps_there(tmp_path: Path) -> None:
    beside, root, out = tmp_path / "carried", tmp_path / "root", tmp_path / "out"
    beside.mkdir()
    shutil.copy(SCRIPT, beside)
    tree = [
        File(f"benchmarks/{name}", data) for name, data in (("__init__.py", b""), ("gpu/__main__.py", TOLD.encode()))
    ]
    pack({"site": [File("brought.py", b"")], "tree": tree}, beside / "bundle.tar.xz")
    environment = {**os.environ, "OUT": str(out), "UNPACKED": str(root)}
    command = ["bash", str(beside / SCRIPT.name), "100", "--dry", "machine"]

    for _ in range(2):
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert max(map(len, done.stdout.splitlines())) == 400
    assert "x" * 1000 in (out / "gpu.log").read_text()
    arguments, folder, brought = json.loads((out / "gpu.json").read_text())
    assert arguments[0] == "--seconds"
    assert 60 <= int(arguments[1]) <= 100
    assert arguments[2:] == ["--out", str(out), "--dry", "machine"]
    assert (folder, brought) == (str(root / "tree"), str(root / "site" / "brought.py"))


def test_the_tree_is_what_git_does_not_ignore(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "large").write_bytes(bytes(1000))
    (tmp_path / "new").write_bytes(bytes(100))
    assert tree_files(tmp_path) == {"new": 100, ".gitignore": len("build/\n")}


def test_what_no_step_reads_stays_at_home_and_what_they_read_does_not() -> None:
    tree = tree_files(Path(__file__).parents[2])
    unread = left_at_home(tree)
    assert "gpu_job/speakers/embedding.onnx" in unread
    assert {"infra/tiny_parakeet/parakeet-tdt-tiny.nemo", "gpu_job/vad/silero_vad_16k.onnx"} <= tree.keys() - unread
    assert {name.partition("/")[0] for name in unread if name.endswith(".py")} <= {"tests"}


ROOT = Path(__file__).parents[2]
OURS = ("benchmarks", "dropscribe", "gpu_job", "infra", "shared", "trigger_function")
PROCESSES = ("benchmarks.null_job", "gpu_job.__main__", "trigger_function.main")
"""What the steps start besides themselves."""
ON_MACHINE = {
    *("httpx", "numpy", "onnxruntime", "prometheus-client", "requests", "rich", "safetensors", "torch", "transformers"),
    "urllib3",
}
"""Packages that are there with torch, as `bundle_packages.txt` says."""


def imported_at_once(module: str) -> set[str]:
    """The modules that one of ours imports when it is imported itself, not in a function of it."""
    path = ROOT.joinpath(*module.split("."))
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    found: set[str] = set()
    for node in ast.parse(source.read_text()).body:
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(name)):
                inner = {f"{name}.{alias.name}" for alias in node.names}
                found |= {one for one in inner if ROOT.joinpath(*one.split(".")).with_suffix(".py").exists()} or {name}
    return found


def test_what_the_steps_import_is_on_the_machine_or_in_the_bundle() -> None:
    waiting = [f"benchmarks.gpu.{file.stem}" for file in (ROOT / "benchmarks" / "gpu").glob("*.py")]
    waiting += PROCESSES
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        if module.partition(".")[0] in OURS:
            waiting += imported_at_once(module) - seen
    names = {module.partition(".")[0] for module in seen} - set(OURS) - set(sys.stdlib_module_names)
    known = {plain(pin.partition("==")[0]) for pin in pins()} | ON_MACHINE
    owners = packages_distributions()
    assert {name for name in names if not known & set(map(plain, owners[name]))} == set()
