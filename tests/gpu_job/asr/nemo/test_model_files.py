"""A prepared model: NeMo's own, bit for bit; mapped, not copied; and never loaded damaged."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nemo.collections.asr.models import ASRModel
from safetensors.torch import load_file, save_file

from gpu_job.asr.device import Device
from gpu_job.asr.nemo.model_export import prepare
from gpu_job.asr.nemo.model_files import CONFIG, MANIFEST, WEIGHTS, FileRecord, Manifest, Precision, PreparedModel
from gpu_job.asr.nemo.model_loading import build
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.audio.decode import decode
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.errors import EngineFailed, FailureKind

LIMITS = ParakeetLimits(max_chunks=16, gpu_audio_seconds=640, cpu_audio_seconds=80)
TYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {each: prepare(str(MODEL_PATH), folder / each, each).directory for each in TYPES}


@pytest.fixture(scope="module")
def restored() -> Any:
    return ASRModel.restore_from(str(MODEL_PATH), map_location="cpu")


@pytest.fixture
def copy(folders: dict[Precision, Path], tmp_path: Path) -> Path:
    """A prepared model to damage."""
    return Path(shutil.copytree(folders[Precision.BF16], tmp_path / "model"))


@pytest.mark.parametrize("precision", TYPES)
def test_every_weight_and_buffer_is_nemos(folders: dict[Precision, Path], restored: Any, precision: Precision) -> None:
    model = build(folders[precision], "cpu")
    for part in ("encoder", "decoder", "joint"):
        getattr(restored, part).to(torch.float32)
    theirs = {**restored.state_dict(), **dict(restored.named_buffers())}
    ours = {**model.state_dict(), **dict(model.named_buffers())}
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        stored = tensor.is_floating_point() and name in restored.state_dict() and not name.startswith("preprocessor.")
        assert torch.equal(ours[name], tensor.to(TYPES[precision]) if stored else tensor), name


@pytest.mark.parametrize("precision", TYPES)
def test_the_same_tokens_as_from_the_nemo_file(folders: dict[Precision, Path], precision: Precision) -> None:
    device = Device("cpu", TYPES[precision])
    speech = np.concatenate(list(decode(recording("memo.wav").path)))
    nemo, prepared = (Parakeet.load(str(name), LIMITS, device) for name in (MODEL_PATH, folders[precision]))
    recognized = prepared.transcribe([speech, speech[: len(speech) // 2]])
    assert recognized[0]
    assert recognized == nemo.transcribe([speech, speech[: len(speech) // 2]])
    assert prepared.name == nemo.name


def test_weights_on_disk_serve_either_precision(folders: dict[Precision, Path], parakeet: Parakeet) -> None:
    speech = np.concatenate(list(decode(recording("memo.wav").path)))
    half = Parakeet.load(str(folders[Precision.BF16]), LIMITS, Device("cpu", torch.float32))
    ((rounded,), (whole,)) = (one.transcribe([speech]) for one in (half, parakeet))
    assert [token.text for token in rounded] == [token.text for token in whole]


def test_the_weights_stay_mapped(folders: dict[Precision, Path]) -> None:
    model = build(folders[Precision.BF16], "cpu")
    mapped = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(WEIGHTS)]
    ranges = [tuple(int(edge, 16) for edge in one.split("-")) for one in mapped]
    large = [each for each in model.parameters() if each.numel() > 1000]
    assert large
    assert all(any(low <= each.data_ptr() < high for low, high in ranges) for each in large)


def test_no_random_number_is_drawn(folders: dict[Precision, Path]) -> None:
    before = torch.get_rng_state()
    build(folders[Precision.BF16], "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_manifest_vouches_for_every_file(folders: dict[Precision, Path], restored: Any) -> None:
    folder = folders[Precision.BF16]
    manifest = PreparedModel.open(folder).manifest
    assert manifest.source == MODEL_PATH.stem
    assert manifest.precision is Precision.BF16
    assert manifest.parameters == sum(parameter.numel() for parameter in restored.parameters())
    assert {path.name for path in folder.iterdir()} == {*manifest.files, MANIFEST}
    for name, record in manifest.files.items():
        content = (folder / name).read_bytes()
        assert (record.size, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_another_user_may_read_it(folders: dict[Precision, Path]) -> None:
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folders[Precision.BF16].iterdir())


def test_half_precision_is_half_the_size(folders: dict[Precision, Path]) -> None:
    half, whole = ((folders[each] / WEIGHTS).stat().st_size for each in (Precision.BF16, Precision.FP32))
    assert half < 0.6 * whole


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, MANIFEST])
def test_a_damaged_file_is_a_load_failure_that_names_it(copy: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(copy / name)
    with pytest.raises(EngineFailed) as caught:
        Parakeet.load(str(copy), LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert name in caught.value.reason


def test_a_manifest_of_another_format_is_refused(copy: Path) -> None:
    manifest = (copy / MANIFEST).read_text()
    (copy / MANIFEST).write_text(manifest.replace('"format": 1', '"format": 2'))
    with pytest.raises(EngineFailed, match=MANIFEST):
        Parakeet.load(str(copy), LIMITS)


def test_no_weight_is_left_as_it_was_allocated(copy: Path) -> None:
    weights = load_file(copy / WEIGHTS)
    missing = "encoder.layers.2.norm_out.weight"
    save_file({name: tensor.clone() for name, tensor in weights.items() if name != missing}, copy / WEIGHTS)
    manifest = PreparedModel.open(copy).manifest
    files = {**manifest.files, WEIGHTS: FileRecord.of(copy / WEIGHTS)}
    (copy / MANIFEST).write_text(Manifest.model_validate({**dict(manifest), "files": files}).model_dump_json())
    with pytest.raises(EngineFailed, match=missing) as caught:
        Parakeet.load(str(copy), LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
