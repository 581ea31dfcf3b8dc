"""The models of one engine: its own, and others that uploads are to be heard with, loaded by demand."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.recognizer import Recognizer, SpeechModel, TakesMemory, ToldLanguage
from gpu_job.engines.time_limits import BatchPace
from shared.errors import REMEDIES, EngineFailed, FailureKind, Remedy, kind_of

LOADED_MODELS = 2
"""Most models in an engine's memory where nothing else is set."""

LOADED_MODELS_GIB = 4.0
"""Most memory of an engine's models where nothing else is set: three of Parakeet 0.6 B, 1.3 GB each in bf16 or int8."""

LOAD_AGAIN_SECONDS = 600.0
"""After a failed load: it may have been the network's fault, and a worker lives for hours. A load that fails costs up
to minutes, in which the thread that loads prepares no batch."""

_log = logging.getLogger(__name__)


@dataclass
class Paces:
    """How long a model's steps take."""

    prepare: BatchPace = field(default_factory=BatchPace)
    run: BatchPace = field(default_factory=BatchPace)
    finish: BatchPace = field(default_factory=BatchPace)


@dataclass
class _Loaded:
    recognizer: Recognizer
    paces: Paces
    used_at: int = 0
    batches: int = 0
    """That are on their way through the engine with it."""


@dataclass(frozen=True)
class _Broken:
    why: str
    """Alone, for an exception holds what its frames do: audio, and models."""
    until: float = float("inf")
    """On the monotonic clock: then it is tried again."""


class LoadedModels:
    """Models in memory, at most so many and so much; of those that no batch needs, the least recently used one goes.

    The batch plan reads it from any thread; one thread borrows, and so loads.
    """

    def __init__(
        self,
        own_name: str,
        own: Recognizer,
        load: Callable[[str], Recognizer] | None,
        most: int,
        limit: Callable[[], AbstractContextManager[None]] = nullcontext,
        load_again_seconds: float = LOAD_AGAIN_SECONDS,
        most_bytes: float = inf,
        predicted_bytes: Callable[[str], int | None] = lambda name: None,
    ) -> None:
        """`own`: the engine's own model, there from the beginning. `load`: for others, by name; None: there are none.
        `limit`: around each load. `most_bytes`: of memory that all may take; one that is larger is alone.
        `predicted_bytes`: what a model will take; None: nobody knows, and then it is as large as the engine's own."""
        self._own_name = own_name
        self._last_limits = {own_name: own.batch_limits}
        """Of each model that was loaded, when it was unloaded."""
        self._load = load
        self._most = most
        self._limit = limit
        self._most_bytes = most_bytes
        self._predicted_bytes = predicted_bytes
        self._bytes = {own_name: _bytes_of(own)}
        """Of each model that was loaded."""
        self._changed = threading.Condition()
        self._loaded = {own_name: _Loaded(own, Paces())}
        self._names = {own_name: own.name}
        self._load_again_seconds = load_again_seconds
        self._broken: dict[str, _Broken] = {}
        self._uses = 0

    def limits(self, model: SpeechModel | None) -> BatchLimits:
        """How large batches of a model may be; of one that was never loaded, as of the engine's own."""
        name = self._name(model)
        loaded = self._loaded.get(name)
        others = sum(self._bytes.get(other, 0) for other in tuple(self._loaded) if other != name)
        if loaded is not None:
            return loaded.recognizer.batch_limits.beside(others)
        return (self._last_limits.get(name) or self._last_limits[self._own_name]).beside(others)

    def is_loaded(self, model: SpeechModel | None) -> bool:
        """Whether it is in memory, or will not be: that it cannot be loaded is soon said."""
        name = self._name(model)
        return name in self._loaded or self._broken_by(name) is not None

    def recognizer(self, model: SpeechModel | None) -> Recognizer | None:
        """A model, to be asked about itself; None where it is not in memory."""
        loaded = self._loaded.get(self._name(model))
        return None if loaded is None else loaded.recognizer

    def name_of(self, model: SpeechModel | None) -> str:
        """What transcripts call a model that was loaded."""
        name = self._name(model)
        return self._names.get(name, name)

    def borrow(self, model: SpeechModel | None) -> Borrowed:
        """A model for one batch, until `give_back`. Loads it where it is not in memory.

        Raises EngineFailed of kind model_load where it cannot be loaded, and what loading raises where no model can be
        any more.
        """
        name = self._name(model)
        if (why := self._broken_by(name)) is not None:
            raise EngineFailed(why, FailureKind.MODEL_LOAD)
        with self._changed:
            loaded = self._loaded.get(name)
            if loaded is not None:
                return self._lend(name, loaded, model)
        recognizer = self._loaded_by_demand(name)
        with self._changed:
            self._loaded[name] = loaded = _Loaded(recognizer, Paces())
            self._names[name] = recognizer.name
            return self._lend(name, loaded, model)

    def _lend(self, name: str, loaded: _Loaded, model: SpeechModel | None) -> Borrowed:
        self._uses += 1
        loaded.used_at, loaded.batches = self._uses, loaded.batches + 1
        recognizer = loaded.recognizer
        if model is not None and model.language is not None and isinstance(recognizer, ToldLanguage):
            recognizer = recognizer.in_language(model.language)
        return Borrowed(name, recognizer, loaded.paces)

    def hold(self, borrowed: Borrowed) -> None:
        """One more batch is on its way with it: each half of one that failed."""
        with self._changed:
            self._loaded[borrowed.name].batches += 1

    def give_back(self, borrowed: Borrowed) -> None:
        """A batch has its tokens, or failed."""
        with self._changed:
            self._loaded[borrowed.name].batches -= 1
            self._changed.notify_all()

    def is_own(self, borrowed: Borrowed) -> bool:
        """Whether it is the engine's own model, without which the engine is of no use."""
        return borrowed.name == self._own_name

    def leave(self, borrowed: Borrowed, why: str) -> None:
        """A model is not used any more; others are. Chunks for it are not kept waiting for another try."""
        self._broken.setdefault(borrowed.name, _Broken(why))

    def _broken_by(self, name: str) -> str | None:
        """Why a model is not to be tried; None where it is."""
        broken = self._broken.get(name)
        return None if broken is None or time.monotonic() >= broken.until else broken.why

    def _loaded_by_demand(self, name: str) -> Recognizer:
        """Raises EngineFailed without the cause, which would keep in memory what was loaded until it failed."""
        began = time.monotonic()
        while True:
            self._make_room(self._needed_bytes(name))
            recognizer, why = self._try_to_load(name)
            if recognizer is not None:
                break
            if why is None:
                # As many as now do not fit.
                self._most = len(self._loaded)
                _log.warning("fewer models are kept in memory", extra={"fields": {"models": self._most}})
                continue
            self._broken[name] = _Broken(why, time.monotonic() + self._load_again_seconds)
            raise EngineFailed(why, FailureKind.MODEL_LOAD)
        self._broken.pop(name, None)
        self._bytes[name] = _bytes_of(recognizer)
        seconds = round(time.monotonic() - began, 2)
        _log.info("model loaded by demand", extra={"fields": {"model": recognizer.name, "seconds": seconds}})
        return recognizer

    def _try_to_load(self, name: str) -> tuple[Recognizer | None, str | None]:
        """A model, or why it cannot be loaded; neither where that is for want of memory which others have."""
        if self._load is None:
            return None, f"No model {name} is there."
        try:
            with self._limit():
                return self._load(name), None
        except Exception as error:
            kind = kind_of(error)
            if REMEDIES[kind] is Remedy.LEAVE_PROCESS:
                raise
            _log.exception("a model could not be loaded", extra={"fields": {"model": name}})
            if kind is FailureKind.OUT_OF_MEMORY and self._loaded:
                return None, None
            reason = error.reason if isinstance(error, EngineFailed) else f"({type(error).__name__})"
            return None, f"The model {name} could not be loaded: {reason}"

    def _needed_bytes(self, name: str) -> int:
        """What a model will take, as it did before, or is predicted to."""
        known = self._bytes.get(name) or self._predicted_bytes(name)
        return self._bytes[self._own_name] if known is None else known

    def _has_room(self, needed_bytes: int) -> bool:
        taken = sum(self._bytes[name] for name in self._loaded)
        return not self._loaded or (len(self._loaded) < self._most and taken + needed_bytes <= self._most_bytes)

    def _make_room(self, needed_bytes: int) -> None:
        """For one more model. Waits until a batch's model can go: batches under way end by themselves."""
        with self._changed:
            while not self._has_room(needed_bytes):
                self._changed.wait_for(self._idle)
                oldest = min(self._idle(), key=lambda name: self._loaded[name].used_at)
                self._last_limits[oldest] = self._loaded.pop(oldest).recognizer.batch_limits
                _log.info("model unloaded", extra={"fields": {"model": oldest}})
        gc.collect()

    def _idle(self) -> list[str]:
        return [name for name, loaded in self._loaded.items() if loaded.batches == 0]

    def _name(self, model: SpeechModel | None) -> str:
        return self._own_name if model is None else model.name


def _bytes_of(recognizer: Recognizer) -> int:
    """What a model takes; 0 where it does not say."""
    return recognizer.memory_bytes if isinstance(recognizer, TakesMemory) else 0


@dataclass(frozen=True)
class Borrowed:
    """A loaded model, for one batch."""

    name: str
    recognizer: Recognizer
    paces: Paces
