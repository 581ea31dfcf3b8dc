"""NVIDIA's streaming Sortformer, on NeMo, in the place of the built-in model: four speakers at most.

So it hears recordings of which somebody said that no more speak; all others are the built-in one's. It has no
embeddings: its speakers are compared with no kept voices. Its weights do not ship with the project.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.speakers.stage import PartStage, RecordingPart, SpeakerModel, SpeakerStage
from gpu_job.speakers.turns import Turn
from shared.options.speaker_count import SpeakerCount, sortformer_hears
from shared.voices.model import Voice

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

_SPEAKS = 0.5
"""Probability from which somebody speaks, as the model card has it."""

_FEATURES_PER_SECOND = 100
_HOP = SAMPLE_RATE // _FEATURES_PER_SECOND
"""Samples for each of them: of fewer the network cannot be asked."""
_PAUSE_SECONDS = 0.25
_LEAST_TURN_SECONDS = 0.15
"""As the built-in model's turns have them."""


class SpeakerModelUnusable(ValueError):
    """The model that the settings name cannot be loaded; the reason says why in a sentence."""


class SortformerModel:
    """Loaded with the first recording that it hears. One recording at a time computes."""

    def __init__(self, file: Path, beyond: SpeakerModel) -> None:
        """`file`: a .nemo file. `beyond`: for recordings of more, or of nobody knows how many, speakers. Raises
        SpeakerModelUnusable."""
        if importlib.util.find_spec("nemo") is None:
            raise SpeakerModelUnusable("SPEAKER_MODEL is sortformer, and NeMo is not installed.")
        if not file.is_file():
            raise SpeakerModelUnusable(f"SPEAKER_MODEL is sortformer, and its weights, {file}, are not there.")
        self._file = file
        self._beyond = beyond
        self.lock = threading.Lock()

    def begin(
        self,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> SpeakerStage:
        """As `SpeakerModel` has it."""
        if not sortformer_hears(count):
            return self._beyond.begin(threads, count, done, is_cancelled)
        return _SortformerStage(self, done, is_cancelled)

    def begin_part(
        self,
        threads: Executor,
        part: RecordingPart,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> PartStage | None:
        """None of what it hears itself: what it hears depends on all that came before."""
        if not sortformer_hears(count):
            return self._beyond.begin_part(threads, part, count, done, is_cancelled)
        return None

    def join(self, parts: Iterable[bytes], samples: int, count: SpeakerCount) -> SpeakerStage:
        """Of those of whom it hears no parts."""
        return self._beyond.join(parts, samples, count)

    @cached_property
    def network(self) -> Any:
        """NeMo's model, for streaming. Raises what NeMo does where the file is none."""
        import torch
        from nemo.collections.asr.models import SortformerEncLabelModel

        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = SortformerEncLabelModel.restore_from(str(self._file), map_location=device).eval()
        network.streaming_mode = True
        return network


class _SortformerStage:
    """Computes on the feeding thread, chunk by chunk, with the speakers' cache of the chunks before."""

    def __init__(self, model: SortformerModel, done: Callable[[], None], is_cancelled: Callable[[], bool]) -> None:
        self._model = model
        self._done = done
        self._is_cancelled = is_cancelled
        self._waiting = np.zeros(0, np.float32)
        self._left = 0
        """Of the waiting samples, those that were heard already and are the next chunk's context."""
        self._samples = 0
        self._state: Any = None
        self._speaks: list[NDArray[np.bool_]] = []
        """[frames, speakers] of each chunk."""
        self._busy_seconds = 0.0
        self._failure: Exception | None = None
        self._is_ended = False

    def add(self, samples: Samples) -> None:
        """The next samples."""
        self._samples += len(samples)
        if self._failure is not None or self._is_cancelled():
            self._waiting = np.zeros(0, np.float32)  # nobody will hear them
            return
        self._waiting = np.concatenate([self._waiting, samples])
        self._hear(is_last=False)

    def end(self) -> None:
        """No more samples will come."""
        self._hear(is_last=True)
        self._is_ended = True
        self._done()

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""
        return self._is_ended

    @property
    def busy_seconds(self) -> float:
        """Time that it computed until now."""
        return self._busy_seconds

    def turns(self) -> list[Turn] | None:
        """Who spoke when, by start; None where it could not be found out."""
        if self._failure is not None:
            return None
        if not self._speaks:
            return []
        subsampling = self._model.network.sortformer_modules.subsampling_factor
        return turns_of_frames(np.concatenate(self._speaks), subsampling / _FEATURES_PER_SECOND, seconds(self._samples))

    def voices(self, turns: Sequence[Turn]) -> dict[int, Voice]:
        """None: it has no embeddings."""
        return {}

    def _hear(self, *, is_last: bool) -> None:
        if self._failure is not None:
            return
        began = time.monotonic()
        try:
            with self._model.lock:
                while not self._is_cancelled() and self._hear_chunk(is_last=is_last):
                    pass
        except Exception as error:
            # The words are there all the same: the transcript only does not say whose they are.
            _log.exception("speakers could not be told apart")
            self._failure = error
        finally:
            self._busy_seconds += time.monotonic() - began

    def _hear_chunk(self, *, is_last: bool) -> bool:
        """Whether there was one that is complete, with the samples behind it that it is heard with."""
        import torch

        network = self._model.network
        modules = network.sortformer_modules
        frame = modules.subsampling_factor * _HOP
        chunk, right = modules.chunk_len * frame, modules.chunk_right_context * frame
        fresh = len(self._waiting) - self._left
        if fresh < (_HOP if is_last else chunk + right):
            return False
        behind = min(right, max(0, fresh - chunk))
        heard = min(chunk, fresh)
        signal = torch.from_numpy(self._waiting[: self._left + heard + behind])[None].to(network.device)
        with torch.inference_mode():
            self._step(network, signal, behind)
        kept = min(self._left + heard, modules.chunk_left_context * frame)
        self._waiting = self._waiting[self._left + heard - kept :]
        self._left = kept
        return True

    def _step(self, network: Any, signal: torch.Tensor, behind: int) -> None:
        import torch

        modules = network.sortformer_modules
        if self._state is None:
            self._state = modules.init_streaming_state(
                batch_size=1, async_streaming=network.async_streaming, device=network.device
            )
        lengths = torch.tensor([signal.shape[1]], device=network.device)
        features, feature_lengths = network.preprocessor(input_signal=signal, length=lengths)
        self._state, found = network.forward_streaming_step(
            processed_signal=features[:, :, : int(feature_lengths[0])].transpose(1, 2),
            processed_signal_length=feature_lengths,
            streaming_state=self._state,
            total_preds=torch.zeros((1, 0, modules.n_spk), device=network.device),
            left_offset=self._left // _HOP,
            right_offset=behind // _HOP,
        )
        self._speaks.append((found[0] > _SPEAKS).cpu().numpy())


def turns_of_frames(speaks: NDArray[np.bool_], frame_seconds: float, end: float) -> list[Turn]:
    """[frames, speakers] who speaks -> turns by start, none beyond `end`; speakers by who is heard first."""
    found: list[Turn] = []
    for speaker in range(speaks.shape[1]):
        changes = np.diff(np.concatenate([[0], speaks[:, speaker].astype(np.int8), [0]]))
        starts, stops = np.nonzero(changes == 1)[0] * frame_seconds, np.nonzero(changes == -1)[0] * frame_seconds
        own: list[Turn] = []
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            stop = min(stop, end)
            if own and start - own[-1].end < _PAUSE_SECONDS:
                own[-1] = replace(own[-1], end=stop)
            elif start < end:
                own.append(Turn(start, stop, speaker))
        found.extend(turn for turn in own if turn.end - turn.start >= _LEAST_TURN_SECONDS)
    found.sort()
    numbers = {speaker: number for number, speaker in enumerate(dict.fromkeys(turn.speaker for turn in found))}
    return [replace(turn, speaker=numbers[turn.speaker]) for turn in found]
