"""A recording's windows, heard in parts and stored: those of one piece, to the last bit."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.speakers.diarizer import BuiltInModel, Diarizer
from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAMES, LOCAL_SPEAKERS, SETS, unit
from gpu_job.speakers.packed_windows import packed_windows, unpacked_windows
from gpu_job.speakers.stage import RecordingPart
from gpu_job.speakers.windows import STEP, Piece, SpeakerWindow, WindowCutter, starts_of
from shared.options.speaker_count import SpeakerCount
from tests.support.made_conversation import Conversation, conversation
from tests.support.waiting import PATIENCE

MOST_SECONDS = 60


def heard(threads: ThreadPoolExecutor, samples: Samples, part: RecordingPart, block: int) -> Diarizer:
    """A part of the samples, of which no more is given than it needs."""
    ended = threading.Event()
    diarizer = Diarizer(Conversation(), threads, SpeakerCount(), ended.set, part=part)
    at = part.begin
    while at < len(samples) and not diarizer.has_all:
        diarizer.add(samples[at : at + block])
        at += block
    diarizer.end(is_left=at < len(samples))
    if not diarizer.is_done:
        assert ended.wait(PATIENCE)
    return diarizer


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, MOST_SECONDS * SAMPLE_RATE),
    st.sets(st.integers(1, MOST_SECONDS - 1), max_size=4),
    st.integers(0, 20),
    st.sampled_from([777, SAMPLE_RATE, 7 * SAMPLE_RATE, MOST_SECONDS * SAMPLE_RATE]),
    st.integers(0, 1000),
)
def test_speakers_of_parts_that_are_heard_apart_are_those_of_one_piece(
    threads: ThreadPoolExecutor, length: int, borders: set[int], warm_up: int, block: int, seed: int
) -> None:
    samples = conversation(length, seed)
    whole = heard(threads, samples, RecordingPart(0, 0, None), block)
    starts = [0, *sorted(border * SAMPLE_RATE for border in borders)]
    packed = []
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        begin = max(0, start - warm_up * SAMPLE_RATE)
        packed.append(heard(threads, samples, RecordingPart(begin, start, stop), block).packed())
    parts = [one for one in packed if one is not None]
    assert len(parts) == len(starts)
    own = packed_windows(unpacked_windows(parts, length))
    assert own == whole.packed()
    joined = BuiltInModel().join(parts, length, SpeakerCount())
    assert joined.is_done
    turns = joined.turns()
    assert turns is not None
    assert turns == whole.turns()
    assert joined.voices(turns) == whole.voices(turns)


def test_the_property_is_of_conversations(threads: ThreadPoolExecutor) -> None:
    found = [heard(threads, conversation(60 * SAMPLE_RATE, seed), RecordingPart(0, 0, None), 777) for seed in range(8)]
    windows = [window for one in found for window in unpacked_windows([one.packed() or b""], 60 * SAMPLE_RATE)]
    assert max(turn.speaker for one in found for turn in one.turns() or []) >= 2
    assert any(voice is not None for window in windows for voice in window.over_others)
    assert any(turn.drowned for one in found for turn in one.turns() or [])


def window(start: int = 0) -> SpeakerWindow:
    rng = np.random.default_rng(start)

    def voice() -> NDArray[np.float32]:
        return unit(rng.standard_normal(EMBEDDING_SIZE).astype(np.float32))

    return SpeakerWindow(
        start,
        rng.integers(0, len(SETS), FRAMES, np.uint8),
        tuple(
            Piece(at, at + 20, unit(rng.standard_normal(EMBEDDING_SIZE).astype(np.float32)), at > 30) for at in (3, 40)
        ),
        (None, unit(rng.standard_normal(EMBEDDING_SIZE).astype(np.float32)), None),
        rng.integers(-120, 0, FRAMES, np.int8),
        rng.integers(-92, 0, (FRAMES, LOCAL_SPEAKERS), np.int8),
    )


def plain(value: object) -> object:
    """Every field, arrays with their type and bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    return value


TWO = (window(0), window(STEP))
END = 12 * SAMPLE_RATE


def test_windows_are_read_as_they_were_stored() -> None:
    silent = SpeakerWindow(STEP, np.zeros(FRAMES, np.uint8), ())
    stored = [packed_windows([TWO[0]]), packed_windows([silent])]
    assert plain(unpacked_windows(stored, END)) == plain([TWO[0], silent])


def test_windows_of_which_some_are_missing_are_not_taken_for_a_recordings() -> None:
    assert starts_of(END) == [0, STEP]
    for parts, end in (([TWO[:1]], END), ([TWO[1:], TWO[:1]], END), ([TWO, TWO[1:]], END), ([TWO], 3 * END), ([], 1)):
        with pytest.raises(ValueError, match="missing"):
            unpacked_windows([packed_windows(one) for one in parts], end)


def changed(**arrays: object) -> bytes:
    """Two windows with other arrays; None: without."""
    with np.load(io.BytesIO(packed_windows(TWO))) as stored:
        left = {name: array for name, array in ({**stored} | arrays).items() if array is not None}
    packed = io.BytesIO()
    np.savez(packed, **left)
    return packed.getvalue()


FAULTS: Sequence[bytes] = (
    b"",
    b"no archive",
    packed_windows(TWO)[:-100],
    changed(version=np.array("another")),
    changed(version=np.array(object(), object)),
    changed(version=None),
    changed(alone=None),
    changed(sets=np.zeros((2, FRAMES + 1), np.uint8)),
    changed(levels=np.zeros((2, FRAMES), np.float32)),
    changed(levels=np.zeros((1, FRAMES), np.int8)),
    changed(pieces=np.zeros((1, 4), np.int32)),
    changed(pieces=np.full((4, 4), 2, np.int32)),
    changed(over_others=np.full((2, 2), LOCAL_SPEAKERS, np.int32)),
    changed(over_others=np.zeros((1, 2), np.int32)),
)


@pytest.mark.parametrize("packed", FAULTS, ids=range(len(FAULTS)))
def test_what_is_not_stored_like_that_is_none(packed: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked_windows([packed], END)


def test_a_part_that_ends_before_its_last_window_says_nothing(threads: ThreadPoolExecutor) -> None:
    part = Diarizer(Conversation(), threads, SpeakerCount(), lambda: None, part=RecordingPart(0, 0, 7 * SAMPLE_RATE))
    part.add(np.zeros(11 * SAMPLE_RATE, np.float32))
    assert not part.has_all
    part.end(is_left=True)
    assert part.is_done
    assert part.packed() is None


def test_no_more_is_kept_of_a_part_than_it_needs() -> None:
    cutter = WindowCutter(begin=0, first=3 * SAMPLE_RATE, stop=5 * SAMPLE_RATE)
    assert cutter.has_all  # no window begins in it
    assert [*cutter.add(np.zeros(60 * SAMPLE_RATE, np.float32)), *cutter.end()] == []
