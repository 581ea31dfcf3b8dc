"""An engine with several models: loaded by demand, never mixed in a batch, within what memory may hold."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from gpu_job.asr.batching import MODEL_PATIENCE, BatchCandidate, BatchLimits, next_batch
from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.asr.memory import GIB, Architecture, Attention, MemoryBudget, MemoryModel
from gpu_job.asr.model_size import folder_bytes, predicted_bytes
from gpu_job.asr.recognizer import SpeechModel, TakesMemory
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.loaded_models import LoadedModels
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from infra.tiny_parakeet import ONNX_PATH
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.waiting import PATIENCE

GERMAN, FRENCH, BROKEN = SpeechModel("german"), SpeechModel("french"), SpeechModel("broken")


@dataclass
class NamedRecognizer:
    """Hears its own name in every chunk."""

    name: str
    batches: list[tuple[str, int]]
    """By name: the chunks of each batch that any of them ran."""
    engine: Engine = Engine.PARAKEET_CPU
    hardware: str = "cpu"
    batch_limits: BatchLimits = field(default_factory=lambda: BatchLimits(4, 100 * SAMPLE_RATE))

    def prepare(self, batch: Sequence[Samples]) -> int:
        return len(batch)

    def run(self, count: int) -> int:
        self.batches.append((self.name, count))
        return count

    def finish(self, count: int) -> list[list[Token]]:
        return [[Token(f" {self.name}", 0.0, 0.5)] for _ in range(count)]


class FaultyRecognizer(NamedRecognizer):
    """Fails on every chunk."""

    def run(self, count: int) -> int:
        raise ValueError("a network of another shape")


class Opened:
    """One engine that may have `most` models, of which `fits` fit into memory, and what it did."""

    def __init__(self, most: int, fits: int, engine: Engine = Engine.PARAKEET_CPU) -> None:
        self.fits = fits
        self.in_memory: list[weakref.ref[NamedRecognizer]] = []
        self.batches: list[tuple[str, int]] = []
        self.loads: list[str] = []
        self.results: Queue[ChunkResult] = Queue()
        self.chain = EngineChain()
        self.gate = threading.Event()
        self.engine = LocalEngine(
            engine, "english", self.load_own, 1000.0, self.chain, load_other=self.load, loaded_models=most
        )
        self.chain.add(self.engine)

    def load_own(self) -> NamedRecognizer:
        assert self.gate.wait(PATIENCE)
        return self.load("english")

    def load(self, name: str) -> NamedRecognizer:
        if name == "broken":
            raise EngineFailed("No such file.", FailureKind.MODEL_LOAD)
        self.in_memory = [one for one in self.in_memory if one() is not None]
        if len(self.in_memory) >= self.fits:
            raise EngineFailed("CUDA out of memory.", FailureKind.OUT_OF_MEMORY)
        self.loads.append(name)
        recognizer = FaultyRecognizer(name, self.batches) if name == "faulty" else NamedRecognizer(name, self.batches)
        self.in_memory.append(weakref.ref(recognizer))
        return recognizer

    def submit(self, at: int, model: SpeechModel | None, job: str = "job") -> None:
        samples = np.zeros(SAMPLE_RATE, np.float32)
        self.chain.submit(Task(job, Chunk(at * SAMPLE_RATE, samples), self.results.put, model=model))

    def words(self, count: int) -> dict[int, str]:
        """By the second at which the chunk begins; a failure's reason where it has no words."""
        found = [self.results.get(timeout=PATIENCE) for _ in range(count)]
        return {
            one.start // SAMPLE_RATE: one.failure or "".join(token.text for token in one.tokens).strip()
            for one in found
        }


@pytest.fixture
def open_engine() -> Iterator[Callable[..., Opened]]:
    opened: list[Opened] = []

    def open_one(most: int = 2, fits: int = 9) -> Opened:
        opened.append(Opened(most, fits))
        opened[-1].chain.start()
        return opened[-1]

    yield open_one
    for one in opened:
        one.gate.set()
        one.chain.stop()


Open = Callable[..., Opened]


def test_chunks_are_heard_with_their_own_model_and_batches_never_mix(open_engine: Open) -> None:
    here = open_engine()
    wanted: dict[int, str] = {}
    for at in range(18):
        model = (None, SpeechModel("english"), GERMAN)[at % 3]
        here.submit(at, model, f"job-{at % 3}")
        wanted[at] = "german" if model is GERMAN else "english"
    here.gate.set()
    assert here.words(18) == wanted
    assert here.loads == ["english", "german"]
    assert sum(count for name, count in here.batches if name == "german") == 6
    assert here.chain.model([Engine.PARAKEET_CPU], GERMAN) == "german"
    assert here.chain.model([Engine.PARAKEET_CPU]) == "english"


def test_the_least_recently_used_model_goes_and_comes_again(open_engine: Open) -> None:
    here = open_engine()
    here.gate.set()
    for at, model in enumerate([None, GERMAN, None, FRENCH, None, GERMAN]):
        here.submit(at, model)
        assert here.words(1) == {at: "english" if model is None else model.name}
    # German went for French, for English was used since; then French for German.
    assert here.loads == ["english", "german", "french", "german"]


def test_one_model_at_a_time_is_enough_for_all(open_engine: Open) -> None:
    here = open_engine(1)
    for at in range(12):
        here.submit(at, (None, GERMAN)[at % 2])
    here.gate.set()
    assert here.words(12) == {at: ("english", "german")[at % 2] for at in range(12)}
    assert here.loads == ["english", "german"]  # and not one after the other all the time


def test_a_model_that_cannot_be_loaded_costs_its_own_chunks_alone(open_engine: Open) -> None:
    here = open_engine()
    here.gate.set()
    here.submit(0, BROKEN)
    assert here.words(1) == {0: "The model broken could not be loaded: No such file."}
    here.submit(1, BROKEN)
    here.submit(2, GERMAN)
    found = here.words(2)
    assert found[2] == "german"
    assert "broken could not be loaded" in found[1]
    assert here.engine.failure is None


def test_a_model_that_went_is_in_nobodys_hands_while_another_is_loaded(open_engine: Open) -> None:
    here = open_engine(1, fits=1)
    here.gate.set()
    for at, model in enumerate([None, GERMAN, FRENCH, None]):
        here.submit(at, model)
        assert here.words(1) == {at: "english" if model is None else model.name}


@pytest.mark.parametrize(("load_again_seconds", "tries"), [(0.0, 3), (10 * PATIENCE, 1)])
def test_a_model_that_could_not_be_loaded_is_tried_again_after_a_while(load_again_seconds: float, tries: int) -> None:
    batches: list[tuple[str, int]] = []
    loads: list[str] = []

    def load(name: str) -> NamedRecognizer:
        loads.append(name)
        if len(loads) < 3:
            raise EngineFailed("No network.", FailureKind.NETWORK)
        return NamedRecognizer(name, batches)

    own = NamedRecognizer("english", batches)
    models = LoadedModels("english", own, load, 2, load_again_seconds=load_again_seconds)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="could not be loaded: No network"):
            models.borrow(GERMAN)
    if tries == 3:
        assert not models.is_loaded(GERMAN)
        assert models.borrow(GERMAN).recognizer.name == "german"
    assert models.is_loaded(GERMAN)
    assert len(loads) == tries


@pytest.fixture
def unlogged(caplog: pytest.LogCaptureFixture) -> None:
    """pytest keeps what is logged, and so the frames of exceptions."""
    caplog.set_level(logging.CRITICAL, "gpu_job.engines.loaded_models")


@pytest.mark.usefixtures("unlogged")
def test_where_two_models_do_not_fit_one_goes_for_the_other(open_engine: Open) -> None:
    here = open_engine(3, fits=1)
    here.gate.set()
    for at, model in enumerate([None, GERMAN, None]):
        here.submit(at, model)
        assert here.words(1) == {at: "english" if model is None else model.name}
    assert here.loads == ["english", "german", "english"]


def test_a_model_that_fails_on_all_it_hears_does_not_end_the_others(open_engine: Open) -> None:
    here = open_engine()
    here.gate.set()
    for at in range(8):
        here.submit(at, SpeechModel("faulty"), f"job-{at % 2}")
    assert all(here.words(8).values())
    here.submit(8, SpeechModel("faulty"))
    here.submit(9, GERMAN)
    assert here.words(2) == {8: "The model faulty failed 3 times in a row.", 9: "german"}
    assert here.engine.failure is None


@pytest.mark.usefixtures("unlogged")
def test_audio_of_a_model_that_cannot_be_loaded_is_not_kept(open_engine: Open) -> None:
    here = open_engine()
    here.gate.set()
    chunks = [Chunk(at * SAMPLE_RATE, np.zeros(SAMPLE_RATE, np.float32)) for at in range(3)]
    audio = [weakref.ref(chunk.samples) for chunk in chunks]
    while chunks:
        here.chain.submit(Task("job", chunks.pop(), here.results.put, model=BROKEN))
        here.words(1)
    here.submit(9, GERMAN)  # the engine's hands are on the batch before until the next one
    here.words(1)
    gc.collect()
    assert [one() for one in audio] == [None] * 3


def waiting(
    model: str,
    *,
    is_loaded: bool,
    passed_over: int = 0,
    seconds: int = 10,
    since_load: int = MODEL_PATIENCE,
    urgent: bool = False,
) -> BatchCandidate:
    return BatchCandidate(
        seconds * SAMPLE_RATE,
        passed_over=passed_over,
        model=model,
        is_loaded=is_loaded,
        since_load=since_load,
        urgent=urgent,
    )


def test_a_model_in_memory_goes_first_but_not_for_ever() -> None:
    limits = BatchLimits(8, 1000 * SAMPLE_RATE)
    loaded = [waiting("english", is_loaded=True, passed_over=99, seconds=20) for _ in range(3)]
    fresh = waiting("german", is_loaded=False, passed_over=MODEL_PATIENCE - 1, seconds=30)
    late = waiting("german", is_loaded=False, passed_over=MODEL_PATIENCE)
    assert next_batch([fresh, *loaded], limits) == [1, 2, 3]
    assert next_batch([*loaded, late], limits) == [3]


@pytest.mark.parametrize("urgent", [False, True])
def test_a_model_that_was_just_loaded_is_not_left_for_what_waited_meanwhile(urgent: bool) -> None:
    limits = BatchLimits(8, 1000 * SAMPLE_RATE)
    loaded = waiting("english", is_loaded=True, since_load=1)
    long_ago = waiting("german", is_loaded=False, passed_over=99, since_load=1, urgent=urgent)
    assert next_batch([long_ago, loaded], limits) == [1]


def test_of_models_that_wait_the_one_that_waited_longest_is_loaded() -> None:
    limits = BatchLimits(8, 1000 * SAMPLE_RATE)
    long_chunks = waiting("german", is_loaded=False, passed_over=MODEL_PATIENCE, seconds=30)
    short_ones = waiting("french", is_loaded=False, passed_over=MODEL_PATIENCE + 1, seconds=3)
    loaded = waiting("english", is_loaded=True)
    assert next_batch([loaded, long_chunks, short_ones], limits) == [2]


def test_two_models_that_take_turns_in_memory_are_seldom_loaded(open_engine: Open) -> None:
    here = open_engine(1)
    for at in range(200):
        here.submit(at, (None, GERMAN)[at % 2])
    here.gate.set()
    here.words(200)
    assert len(here.batches) >= 50
    assert len(here.loads) <= 1 + len(here.batches) // MODEL_PATIENCE


def test_a_batch_is_as_large_as_its_own_model_allows() -> None:
    chunks = [waiting(model, is_loaded=True) for model in ("large", "small") * 4]
    sizes = {"large": BatchLimits(1, 10**9), "small": BatchLimits(3, 10**9)}
    chosen = next_batch(chunks, lambda model: sizes[str(model)])
    assert len(chosen) == 1
    assert chunks[chosen[0]].model == "large"


# Memory


@dataclass
class SizedRecognizer(NamedRecognizer):
    """Takes so many bytes."""

    memory_bytes: int = 0


SIZES = {"english": 3, "german": 4, "french": 2, "huge": 50}


def sized(name: str) -> SizedRecognizer:
    return SizedRecognizer(name, [], memory_bytes=SIZES[name])


def sized_models(most_bytes: float, predicted: dict[str, int], most: int = 9) -> tuple[LoadedModels, list[str]]:
    loads: list[str] = []

    def load(name: str) -> SizedRecognizer:
        loads.append(name)
        return sized(name)

    models = LoadedModels("english", sized("english"), load, most, most_bytes=most_bytes, predicted_bytes=predicted.get)
    return models, loads


def used(models: LoadedModels, *names: str) -> set[str]:
    """Models in memory after these were used, one after the other."""
    for name in names:
        models.give_back(models.borrow(SpeechModel(name)))
    return {name for name in SIZES if models.recognizer(SpeechModel(name)) is not None}


def test_no_more_models_are_in_memory_than_fit_and_the_one_used_longest_ago_goes() -> None:
    models, _ = sized_models(9, SIZES)
    assert used(models, "german") == {"english", "german"}
    assert used(models, "french") == {"english", "german", "french"}
    tight, _ = sized_models(8, SIZES)
    assert used(tight, "german", "english", "french") == {"english", "french"}


def test_a_model_that_is_larger_than_all_may_be_is_alone() -> None:
    models, _ = sized_models(9, SIZES)
    assert used(models, "german", "huge") == {"huge"}
    assert used(models, "english") == {"english"}


def test_a_model_of_unknown_size_counts_as_the_engines_own_and_then_as_what_it_was() -> None:
    models, loads = sized_models(7, {})
    assert used(models, "german") == {"english", "german"}
    assert used(models, "french") == {"german", "french"}
    assert used(models, "english", "german") == {"english", "german"}
    assert loads == ["german", "french", "english", "german"]


def test_batches_leave_room_for_the_other_models() -> None:
    memory = MemoryModel(Architecture(), 2, Attention.SDPA)
    limits = BatchLimits(10_000, 10**12, MemoryBudget(memory, 20 * GIB))
    own, other = NamedRecognizer("english", [], batch_limits=limits), sized("german")
    other.memory_bytes, other.batch_limits = 8 * GIB, limits
    models = LoadedModels("english", own, lambda name: other, 2)
    minute = 60 * SAMPLE_RATE
    alone = models.limits(None).largest(minute)
    models.borrow(GERMAN)
    beside = models.limits(None).largest(minute)
    assert beside == MemoryBudget(memory, 20 * GIB, others_bytes=8 * GIB).largest_batch(minute) < alone
    assert models.limits(GERMAN).largest(minute) == alone


def test_what_a_batch_took_is_told_from_what_other_models_have() -> None:
    budget = MemoryBudget(MemoryModel(Architecture(), 2, Attention.SDPA), 20 * GIB)
    weights, taken = budget.model.weights, budget.model.activations(4, 60 * SAMPLE_RATE)
    alone = budget.after(4, 60 * SAMPLE_RATE, weights + taken)
    assert alone.correction == pytest.approx(1.0)
    assert budget.after(4, 60 * SAMPLE_RATE, weights + taken + 5 * GIB, 5 * GIB) == alone


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("nvidia/parakeet-tdt-0.6b-v2", 1.26), ("nvidia/parakeet-tdt-1.1b", 2.31), ("whisper-base", None), ("b-1", None)],
)
def test_the_size_of_a_published_model_is_in_its_name(name: str, gigabytes: float | None) -> None:
    found = predicted_bytes(name)
    assert found == (None if gigabytes is None else pytest.approx(gigabytes * 1e9))


def test_the_size_of_a_model_on_disk_is_its_files(tmp_path: Path) -> None:
    for name, size in {
        "encoder-model.onnx": 40,
        "encoder-model.onnx.data": 400,
        "encoder-model.int8.onnx": 100,
        "decoder_joint-model.onnx": 30,
        "decoder_joint-model.int8.onnx": 10,
        "vocab.txt": 1000,
    }.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert folder_bytes(tmp_path, int8=True) == predicted_bytes(str(tmp_path)) == 2 * 110
    assert folder_bytes(tmp_path, int8=False) == 2 * 470
    (tmp_path / "a.nemo").write_bytes(bytes(70))
    assert predicted_bytes(str(tmp_path / "a.nemo")) == 70
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "model.safetensors").write_bytes(bytes(90))
    assert predicted_bytes(str(prepared)) == 90
    loaded = load_recognizer(str(ONNX_PATH), Engine.PARAKEET_CPU, RecognizerOptions(precision="fp32"))
    assert isinstance(loaded, TakesMemory)
    assert loaded.memory_bytes == folder_bytes(ONNX_PATH, int8=False) > 10**7
