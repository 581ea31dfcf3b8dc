"""NVIDIA's Sortformer behind the speakers' seam: NeMo's own architecture, small, with random weights, from a file."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.settings import JobSettings
from gpu_job.speakers.diarizer import BuiltInModel, Diarizer
from gpu_job.speakers.sortformer import SortformerModel, SpeakerModelUnusable, turns_of_frames
from gpu_job.speakers.stage import RecordingPart
from gpu_job.speakers.turns import Turn
from shared.options.speaker_count import SpeakerCount

WIDTH, SPEAKERS = 16, 4
CONFIG = {
    "sample_rate": SAMPLE_RATE,
    "max_num_of_spks": SPEAKERS,
    "pil_weight": 0.5,
    "ats_weight": 0.5,
    "streaming_mode": True,
    "model_defaults": {"fc_d_model": WIDTH, "tf_d_model": WIDTH},
    "preprocessor": {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "normalize": "NA",
        "window_size": 0.025,
        "sample_rate": SAMPLE_RATE,
        "window_stride": 0.01,
        "window": "hann",
        "features": 80,
        "n_fft": 512,
        "frame_splicing": 1,
        "dither": 0.0,
    },
    "encoder": {
        "_target_": "nemo.collections.asr.modules.ConformerEncoder",
        "feat_in": 80,
        "feat_out": -1,
        "n_layers": 1,
        "d_model": WIDTH,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": 8,
        "ff_expansion_factor": 2,
        "self_attention_model": "rel_pos",
        "n_heads": 2,
        "att_context_size": [-1, -1],
        "conv_kernel_size": 9,
    },
    "transformer_encoder": {
        "_target_": "nemo.collections.asr.modules.transformer.transformer_encoders.TransformerEncoder",
        "num_layers": 1,
        "hidden_size": WIDTH,
        "inner_size": 2 * WIDTH,
        "num_attention_heads": 2,
        "attn_score_dropout": 0.0,
        "attn_layer_dropout": 0.0,
        "ffn_dropout": 0.0,
        "hidden_act": "relu",
        "pre_ln": False,
        "pre_ln_final_layer_norm": True,
    },
    "sortformer_modules": {
        "_target_": "nemo.collections.asr.modules.sortformer_modules.SortformerModules",
        "num_spks": SPEAKERS,
        "dropout_rate": 0.0,
        "fc_d_model": WIDTH,
        "tf_d_model": WIDTH,
        "spkcache_len": 24,
        "fifo_len": 6,
        "chunk_len": 6,
        "spkcache_update_period": 6,
        "chunk_left_context": 1,
        "chunk_right_context": 1,
    },
    "loss": {
        "_target_": "nemo.collections.asr.losses.bce_loss.BCELoss",
        "weight": None,
        "reduction": "mean",
    },
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from nemo.collections.asr.models import SortformerEncLabelModel
    from omegaconf import OmegaConf

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("sortformer") / "tiny.nemo"
    SortformerEncLabelModel(OmegaConf.create(CONFIG)).save_to(str(path))
    return path


def test_a_recording_is_heard_chunk_by_chunk_whatever_blocks_it_comes_in(file: Path) -> None:
    model = SortformerModel(file, BuiltInModel())
    samples = np.random.default_rng(1).normal(0, 0.1, 5 * SAMPLE_RATE + 777).astype(np.float32)
    answers = []
    with ThreadPoolExecutor(1) as threads:
        for block in (len(samples), 4001):
            done = threading.Event()
            stage = model.begin(threads, SpeakerCount(least=2, most=4), done.set)
            for at in range(0, len(samples), block):
                stage.add(samples[at : at + block])
            assert not stage.is_done
            stage.end()
            assert stage.is_done
            assert done.is_set()
            assert stage.busy_seconds > 0
            answers.append(stage.turns())
            assert stage.voices(answers[-1] or []) == {}
    assert answers[0] is not None  # it computed: a failure has no turns
    assert answers[0] == answers[1]
    assert all(0 <= turn.start < turn.end <= len(samples) / SAMPLE_RATE for turn in answers[0])


@pytest.mark.parametrize("behind", [1, 159, 160])
def test_a_rest_too_short_for_the_network_costs_no_speakers(file: Path, behind: int) -> None:
    model = SortformerModel(file, BuiltInModel())
    model.network.sortformer_modules.chunk_left_context = 0
    chunk = 6 * 8 * 160
    with ThreadPoolExecutor(1) as threads:
        for length in (behind, 2 * chunk + behind):
            stage = model.begin(threads, SpeakerCount(most=4), lambda: None)
            stage.add(np.random.default_rng(1).normal(0, 0.1, length).astype(np.float32))
            stage.end()
            assert stage.turns() is not None


def test_who_may_be_more_than_four_are_heard_by_the_built_in_model(file: Path) -> None:
    model = SortformerModel(file, BuiltInModel())
    with ThreadPoolExecutor(1) as threads:
        for count in (SpeakerCount(), SpeakerCount(least=2), SpeakerCount(most=5)):
            assert isinstance(model.begin(threads, count, lambda: None), Diarizer)
        assert not isinstance(model.begin(threads, SpeakerCount(most=4), lambda: None), Diarizer)
        # What it hears depends on all that came before; what the built-in model does, on a window alone.
        part = RecordingPart(0, 0, SAMPLE_RATE)
        assert model.begin_part(threads, part, SpeakerCount(most=4), lambda: None) is None
        assert isinstance(model.begin_part(threads, part, SpeakerCount(), lambda: None), Diarizer)
    assert model.join([], 0, SpeakerCount()).turns() == []


def test_a_file_that_is_no_model_costs_the_speakers_and_nothing_else(tmp_path: Path) -> None:
    bad = tmp_path / "bad.nemo"
    bad.write_bytes(b"no archive")
    with ThreadPoolExecutor(1) as threads:
        stage = SortformerModel(bad, BuiltInModel()).begin(threads, SpeakerCount(most=2), lambda: None)
        tracemalloc.start()
        for _ in range(20):
            stage.add(np.zeros(20 * SAMPLE_RATE, np.float32))
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        stage.end()
    assert stage.is_done
    assert stage.turns() is None
    assert kept < 2 * 20 * SAMPLE_RATE * 4  # not what nobody will hear, 25 MB


def test_weights_that_are_not_there_are_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"google_cloud_project": "p", "results_bucket": "results", "state_bucket": "state"}
    with pytest.raises(ValueError, match="takes SORTFORMER_FILE"):
        JobSettings(**named, speaker_model="sortformer")
    missing = JobSettings(**named, speaker_model="sortformer", sortformer_file=tmp_path / "none.nemo")
    with pytest.raises(SpeakerModelUnusable, match=r"none\.nemo, are not there"):
        missing.open_speaker_model()
    assert isinstance(JobSettings(**named).open_speaker_model(), BuiltInModel)


def test_frames_are_turns_without_short_pauses_numbered_by_who_is_heard_first() -> None:
    speaks = np.zeros((40, 4), bool)
    speaks[20:30, 0] = True
    speaks[2:10, 3] = True
    speaks[12:14, 3] = True  # behind 0.16 s
    speaks[35, 1] = True  # 0.08 s
    turns = turns_of_frames(speaks, 0.08, 2.0)
    assert [(round(one.start, 2), round(one.end, 2), one.speaker) for one in turns] == [(0.16, 1.12, 0), (1.6, 2.0, 1)]
    assert turns_of_frames(np.zeros((0, 4), bool), 0.08, 1.0) == []
    assert isinstance(turns[0], Turn)
