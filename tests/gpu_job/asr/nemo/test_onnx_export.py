"""Exporting to ONNX: the shipped networks come out again, and hear the same words."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from kaldialign import edit_distance
from omegaconf import OmegaConf
from typer.testing import CliRunner

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.asr.nemo.model_files import MANIFEST, BadModel, Precision, PreparedModel
from gpu_job.asr.nemo.onnx_export import export, prepare_onnx
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.model_folder import CONFIG, VOCABULARY
from gpu_job.asr.recognizer import Recognizer
from gpu_job.asr.tokens import words_of
from gpu_job.audio.chunker import chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.cli.main import app
from infra.recordings import Recording, recording, shipped
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH
from shared.enums import Engine
from tests.support.word_alignment import plain
from tools.tiny_parakeet.export import main

LIMITS = BatchLimits(16, 320 * SAMPLE_RATE)
_LAYERS = 4
"""Of the tiny model."""


def test_a_fresh_export_hears_what_the_shipped_networks_hear(tmp_path: Path) -> None:
    main(tmp_path / "fresh")
    samples = np.concatenate(list(decode(recording("podcast.mp3").path)))
    fresh, ours = (load(folder, "fp32", LIMITS) for folder in (tmp_path / "fresh", ONNX_PATH))
    first, second = (each.finish(each.run(each.prepare([samples]))) for each in (fresh, ours))
    assert len(first[0]) > 50
    assert first == second
    for name in (CONFIG, VOCABULARY):
        assert (tmp_path / "fresh" / name).read_bytes() == (ONNX_PATH / name).read_bytes()
    assert {path.name for path in (tmp_path / "fresh").iterdir()} == {path.name for path in ONNX_PATH.iterdir()}


def test_a_model_with_other_durations_is_refused(parakeet: Parakeet, tmp_path: Path) -> None:
    class Other:
        cfg = OmegaConf.create({"decoding": {"durations": [0, 1, 2, 4, 8]}})

    with pytest.raises(BadModel, match="n-th duration"):
        export(Other(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def speech() -> Samples:
    return np.concatenate(list(decode(recording("podcast.mp3").path)))


@pytest.fixture(scope="module")
def int8_folder(tmp_path_factory: pytest.TempPathFactory, speech: Samples) -> Path:
    target = tmp_path_factory.mktemp("onnx") / "model"
    prepare_onnx(str(MODEL_PATH), target, Precision.INT8, speech)
    return target


def error_rate(model: Recognizer, one: Recording) -> tuple[int, int]:
    """Wrong words and words of the truth."""
    cuts = chunks(decode(one.path), CutRules(max_seconds=30.0))
    found = [
        plain(word.text)
        for chunk in cuts
        for word in words_of(model.finish(model.run(model.prepare([chunk.samples])))[0])
    ]
    truth = [plain(word.word) for word in one.words]
    return int(edit_distance(truth, found)["total"]), len(truth)


def test_int8_is_at_most_0_3_points_worse(int8_folder: Path) -> None:
    """Over all shipped recordings, with overlaps of chunks counted in both precisions."""
    rates = []
    for folder, quantization in ((ONNX_PATH, "fp32"), (int8_folder, "int8")):
        model = load(folder, quantization, LIMITS)  # type: ignore[arg-type]
        wrong, words = np.sum([error_rate(model, one) for one in shipped()], axis=0)
        rates.append(wrong / words)
    assert rates[1] <= rates[0] + 0.003
    assert rates[0] < 0.1


def test_a_prepared_folder_is_whole_and_named_after_its_source(int8_folder: Path) -> None:
    prepared = PreparedModel.open(int8_folder)
    prepared.check()
    assert (prepared.manifest.source, prepared.manifest.precision) == (MODEL_PATH.stem, Precision.INT8)
    assert {path.name for path in int8_folder.iterdir()} == {
        CONFIG,
        VOCABULARY,
        MANIFEST,
        "encoder-model.int8.onnx",
        "encoder-model.int8.onnx.data",
        "decoder_joint-model.int8.onnx",
        "decoder_joint-model.int8.onnx.data",
    }
    assert [path.name for path in int8_folder.parent.iterdir()] == ["model"]
    loaded = load_recognizer(str(int8_folder), Engine.PARAKEET_CPU, RecognizerOptions())
    assert loaded.name == MODEL_PATH.stem


@pytest.mark.parametrize("name", ["encoder-model.int8.onnx", "encoder-model.int8.onnx.data"])
def test_a_damaged_file_is_found_when_it_is_loaded(int8_folder: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(int8_folder, tmp_path / "copy"))
    network = copy / name
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 1
    network.write_bytes(content)
    with pytest.raises(BadModel, match="damaged"):
        load(copy, "int8", LIMITS)


def test_networks_that_hear_otherwise_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Samples
) -> None:
    def spoilt(model: Any, folder: Path) -> None:
        export(model, folder)
        lines = (folder / VOCABULARY).read_text().splitlines()
        pieces = [line.rpartition(" ")[0] for line in lines[:-1]]
        turned = [*reversed(pieces), "<blk>"]
        (folder / VOCABULARY).write_text("".join(f"{piece} {n}\n" for n, piece in enumerate(turned)))

    monkeypatch.setattr("gpu_job.asr.nemo.onnx_export.export", spoilt)
    with pytest.raises(BadModel, match="otherwise than NeMo"):
        prepare_onnx(str(MODEL_PATH), tmp_path / "model", Precision.FP32, speech)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "precision", "expected"),
    [
        (str(MODEL_PATH), Precision.BF16, "bf16"),
        ("/nowhere/model.nemo", Precision.INT8, "no file"),
        (__file__, Precision.INT8, "no whole .nemo file"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(
    tmp_path: Path, speech: Samples, source: str, precision: Precision, expected: str
) -> None:
    with pytest.raises(BadModel, match=expected):
        prepare_onnx(source, tmp_path / "model", precision, speech)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_at_the_target_stays(tmp_path: Path, speech: Samples) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(BadModel, match="exists already"):
        prepare_onnx(str(MODEL_PATH), tmp_path, Precision.INT8, speech)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_disk_that_is_too_small_is_told_before(tmp_path: Path, speech: Samples) -> None:
    source = tmp_path / "model.nemo"
    with source.open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free)  # a sparse file takes no room itself
    with pytest.raises(BadModel, match="GB of disk"):
        prepare_onnx(str(source), tmp_path / "model", Precision.INT8, speech)
    assert [path.name for path in tmp_path.iterdir()] == ["model.nemo"]


def test_the_command_prepares_networks(tmp_path: Path) -> None:
    target = tmp_path / "model"
    answer = CliRunner().invoke(
        app, ["prepare-model", str(MODEL_PATH), str(target), "--format", "onnx", "--precision", "fp32"]
    )
    assert answer.exit_code == 0, answer.output
    assert PreparedModel.open(target).manifest.precision is Precision.FP32
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_every_matrix_of_the_encoder_is_in_int8(int8_folder: Path) -> None:
    """Pointwise convolutions included: what is left in fp32 are those of subsampling, depthwise ones and attention."""
    network = onnx.load(int8_folder / "encoder-model.int8.onnx")
    in_int8 = {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    operators = Counter(node.op_type for node in network.graph.node)
    per_layer = 2 * 2 + 5 + 3
    """Feed forward, attention with its positions, convolution."""
    assert sum(operators[name] for name in in_int8) == _LAYERS * per_layer + 1
    assert operators["MatMul"] == _LAYERS * 3
    assert operators["Conv"] + operators["FusedConv"] == 5 + _LAYERS
