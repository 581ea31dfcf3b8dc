"""`dropscribe prepare-model`: a whole directory or none, whatever the archive holds and whenever it is ended."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gpu_job.asr.nemo.model_export import CHECKPOINT, prepare
from gpu_job.asr.nemo.model_files import CONFIG, BadModel, Precision, PreparedModel
from infra.cli.main import app
from infra.tiny_parakeet import MODEL_PATH


def member(name: str, content: bytes | None = None, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content or b"")
    return info, io.BytesIO(content or b"")


def archive(path: Path, *more: tuple, without: tuple[str, ...] = (), mode: str = "w") -> Path:
    """The tiny model with other members, in place of or behind its own."""
    replaced = {info.name for info, _ in more} | set(without)
    with tarfile.open(MODEL_PATH) as source, tarfile.open(path, mode) as target:
        for info in source:
            if info.name.removeprefix("./") not in replaced:
                target.addfile(info, source.extractfile(info))
        for info, content in more:
            target.addfile(info, content)
    return path


def config_of(path: Path) -> str:
    with tarfile.open(path) as tar:
        content = tar.extractfile(f"./{CONFIG}")
        assert content is not None
        return content.read().decode()


def refused(source: Path, target: Path) -> str:
    """The reason; nothing is left beside the source."""
    before = set(target.parent.iterdir())
    with pytest.raises(BadModel) as caught:
        prepare(str(source), target, Precision.BF16)
    assert set(target.parent.iterdir()) == before
    return caught.value.reason


def test_the_command_prepares_a_model(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model"
    answer = CliRunner().invoke(app, ["prepare-model", str(MODEL_PATH), str(target), "--precision", "fp32"])
    assert answer.exit_code == 0, answer.output
    prepared = PreparedModel.open(target)
    prepared.check()
    assert prepared.manifest.precision is Precision.FP32
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_the_command_says_why_not(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["prepare-model", str(tmp_path / "absent.nemo"), str(tmp_path / "model")])
    assert answer.exit_code == 1
    assert "There is no file" in answer.output


def test_the_tokenizer_needs_nothing_of_the_archive(tmp_path: Path) -> None:
    source = Path(shutil.copy(MODEL_PATH, tmp_path / "model.nemo"))
    prepared = prepare(str(source), tmp_path / "model", Precision.BF16)
    assert "/tmp/tiny" in config_of(source)
    assert "/tmp/tiny" not in prepared.config.read_text()


def test_a_compressed_archive_is_a_nemo_file_too(tmp_path: Path) -> None:
    source = archive(tmp_path / "model.nemo", mode="w:gz")
    assert prepare(str(source), tmp_path / "model", Precision.BF16).manifest.source == "model"


@pytest.mark.parametrize(
    "hostile",
    [
        member("../evil", b"x"),
        member("/evil", b"x"),
        member("folder/evil", b"x"),
        member("..", kind=tarfile.DIRTYPE),
        member("folder", kind=tarfile.DIRTYPE),
        member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        member("link", kind=tarfile.LNKTYPE, link=CONFIG),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("device", kind=tarfile.CHRTYPE),
    ],
    ids=lambda one: f"{one[0].name}-{one[0].type.decode()}",
)
def test_anything_but_plain_files_at_the_top_is_refused(tmp_path: Path, hostile: tuple) -> None:
    source = archive(tmp_path / "model.nemo", hostile)
    assert hostile[0].name in refused(source, tmp_path / "model")
    assert not (tmp_path / "evil").exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_more_than_tensors_is_refused(tmp_path: Path) -> None:
    bomb = member(CHECKPOINT, pickle.dumps(Bomb(tmp_path / "exploded")))
    refused(archive(tmp_path / "model.nemo", bomb), tmp_path / "model")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("elsewhere", ["../../outside", "/etc/hostname"])
def test_a_configuration_that_leads_out_of_the_archive_is_refused(tmp_path: Path, elsewhere: str) -> None:
    names = [line.split("nemo:")[1] for line in config_of(MODEL_PATH).splitlines() if "nemo:" in line]
    config = member(CONFIG, config_of(MODEL_PATH).replace(names[0], elsewhere).encode())
    assert elsewhere in refused(archive(tmp_path / "model.nemo", config), tmp_path / "model")


def test_a_configuration_of_another_program_is_refused(tmp_path: Path) -> None:
    config = config_of(MODEL_PATH).replace("target: nemo.collections.asr.models", "target: os.path")
    refused(archive(tmp_path / "model.nemo", member(CONFIG, config.encode())), tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"not an archive", MODEL_PATH.read_bytes()[:100_000]])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "model.nemo"
    source.write_bytes(content)
    assert "model.nemo is no whole .nemo file" in refused(source, tmp_path / "model")


@pytest.mark.parametrize("name", [CONFIG, CHECKPOINT])
def test_an_archive_that_lacks_a_part_is_refused(tmp_path: Path, name: str) -> None:
    assert f"lacks {name}" in refused(archive(tmp_path / "model.nemo", without=(name,)), tmp_path / "model")


def test_what_stands_at_the_target_stays(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "mine").touch()
    assert "exists already" in refused(MODEL_PATH, target)
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_a_disk_that_is_too_small_is_told_before(tmp_path: Path) -> None:
    weights = tarfile.TarInfo(CHECKPOINT)
    # More than is free, whatever other tests remove meanwhile.
    weights.size = shutil.disk_usage(tmp_path).total
    source = tmp_path / "model.nemo"
    archive(source, without=(CHECKPOINT,))
    # A sparse stretch of this size behind the member's header takes no room itself.
    with source.open("r+b") as file, tarfile.open(source) as tar:
        end = max(info.offset_data + -(-info.size // 512) * 512 for info in tar)
        file.seek(end)
        file.write(weights.tobuf())
        file.truncate(end + 512 + -(-weights.size // 512) * 512 + 1024)
    assert "GB of disk" in refused(source, tmp_path / "model")


def test_a_run_that_is_killed_leaves_no_half_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    command = [sys.executable, "-m", "infra.cli.main", "prepare-model", str(MODEL_PATH), str(target)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not list(tmp_path.glob(f".{target.name}-*/prepared")):
            time.sleep(0.001)
        running.kill()
    assert not target.exists() or PreparedModel.open(target).check() is None
    shutil.rmtree(target, ignore_errors=True)
    prepare(str(MODEL_PATH), target, Precision.BF16).check()
