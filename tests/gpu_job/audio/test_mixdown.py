"""The mix of all channels: whatever sounds in one of them is in it, in any layout and any phase."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.audio.mix.mixdown import MixProbe, downmix_weights, mix_down
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Frames, Samples
from tests.support.sounds import blocks, music, noise, silence, tone

FIVE_ONE = ("FL", "FR", "FC", "LFE", "BL", "BR")
CHUNK = SAMPLE_RATE // 4
HUM_STEP = 1 / 32768
"""One step of 16-bit audio."""


def mixed(frames: Frames, layout: tuple[str, ...] | None = None, lengths: Iterable[int] = ()) -> Samples:
    """The mix of frames [T, channels], given in blocks of these lengths."""
    return np.concatenate(list(mix_down(AudioBlock(block, layout) for block in blocks(frames, lengths))))


def side_by_side(*channels: Samples) -> Frames:
    return np.stack(channels, axis=1)


def hum(seconds: float, amplitude: float) -> Samples:
    return tone(seconds, 20 * np.log10(amplitude / np.sqrt(2)), 50.0)


def voice(seconds: float, seed: int = 0, db: float = -25.0) -> Samples:
    """A harmonic sound of changing pitch in syllables, as loud and as broad as speech."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    steps = np.arange(int(seconds * 5) + 2) / 5
    pitch = np.interp(time, steps, rng.uniform(90, 220, len(steps)))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    wave = np.sum([np.sin(number * phase + rng.uniform(0, 6)) / number for number in range(1, 20)], axis=0)
    wave *= 0.1 + np.interp(time, steps, rng.uniform(0, 1, len(steps)))
    loud: Samples = (wave * 10.0 ** (db / 20) / np.sqrt(np.mean(wave**2))).astype(np.float32)
    return loud


def shares(mix: Samples, part: Samples, *others: Samples) -> list[float]:
    """How much of a part is in each quarter second of a mix beside the others; 1 where it is all of it, or its inverse.

    Where the part is silent there is nothing to say.
    """
    parts = side_by_side(part, *others)
    return [
        abs(float(np.linalg.lstsq(parts[at : at + CHUNK], mix[at : at + CHUNK])[0][0]))
        for at in range(0, len(part) - CHUNK, CHUNK)
        if np.square(part[at : at + CHUNK]).mean() > 1e-6
    ]


def least_share(mix: Samples, part: Samples, *others: Samples) -> float:
    """The least of the shares: nothing of the part is lost anywhere."""
    return min(shares(mix, part, *others))


def test_mono_is_left_as_it_is() -> None:
    sound = voice(2)
    assert (mixed(sound[:, np.newaxis]) == sound).all()


def test_stereo_is_exactly_half_of_each() -> None:
    left, right = voice(3, 1), voice(3, 2)
    for layout in (None, ("FL", "FR")):
        np.testing.assert_allclose(mixed(side_by_side(left, right), layout), (left + right) / 2, atol=1e-6)


def test_one_silent_side_leaves_the_other_at_half_as_in_every_player() -> None:
    sound = voice(3)
    np.testing.assert_allclose(mixed(side_by_side(sound, silence(3)), ("FL", "FR")), sound / 2, atol=1e-6)


def test_the_weights_of_a_layout_are_ffmpegs() -> None:
    ffmpegs = np.array([2**-0.5, 2**-0.5, 1.0, 0.0, 0.5, 0.5])
    np.testing.assert_allclose(downmix_weights(FIVE_ONE), ffmpegs / ffmpegs.sum(), rtol=1e-6)
    np.testing.assert_allclose(downmix_weights(("FL", "FR", "LFE")), [0.5, 0.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(downmix_weights(("LFE",)), [1.0])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40_000), max_size=12), st.sampled_from([1, 2, 6]))
def test_the_mix_does_not_depend_on_how_the_stream_came_in_blocks(lengths: list[int], channels: int) -> None:
    frames = np.random.default_rng(1).standard_normal((70_001, channels)).astype(np.float32) * 0.1
    frames[20_000:, 1:] *= -0.5
    frames[:, 1:] -= frames[:, :1]
    layout = FIVE_ONE if channels == 6 else None
    assert (mixed(frames, layout, lengths) == mixed(frames, layout)).all()


OPPOSITE = {
    "from the start": silence(0),
    "after 2 s in phase": side_by_side(music(2, -15), music(2, -15)),
    "after 2.4 s in phase": side_by_side(music(3, -15), music(3, -15))[: int(2.4 * SAMPLE_RATE)],
    "after 31 s in phase": side_by_side(music(31, -15), music(31, -15)),
    "after 31 s of silence": side_by_side(silence(31), silence(31)),
}


@pytest.mark.parametrize("before", OPPOSITE)
@pytest.mark.parametrize("noise_db", [-100, -40])
def test_channels_in_opposite_phase_do_not_cancel_each_other_out(before: str, noise_db: float) -> None:
    """At -40 dB the noise is 15 dB below the voice."""
    sound = voice(6)
    apart = side_by_side(sound + noise(6, noise_db, 1), -sound + noise(6, noise_db, 2))
    first = OPPOSITE[before].reshape(-1, 2)
    mix = mixed(np.concatenate((first, apart)).astype(np.float32))
    after = len(first) + -len(first) % CHUNK
    assert least_share(mix[after:], sound[after - len(first) :]) > 0.9


@pytest.mark.parametrize("channels", [4, 6])
def test_more_channels_in_opposite_phase(channels: int) -> None:
    sound = voice(6)
    frames = side_by_side(*([sound, -sound] * 3)[:channels])
    assert least_share(mixed(frames), sound) > 0.9
    if channels == 6:
        assert least_share(mixed(frames, FIVE_ONE), sound) > 0.9


def test_hum_in_opposite_phase_silences_neither_party_of_a_call() -> None:
    quiet = hum(31, HUM_STEP)
    one, other = voice(10, 1), voice(10, 2)
    mix = mixed(np.concatenate((side_by_side(quiet, -quiet), side_by_side(one, other))))[len(quiet) :]
    assert least_share(mix, one, other) > 0.45
    assert least_share(mix, other, one) > 0.45
    # Audible hum does turn a channel over, and then, too, both are in the mix.
    loud = hum(10, 0.05)
    mix = mixed(side_by_side(loud + one, other - loud))
    assert least_share(mix, one, other, loud) > 0.4
    assert least_share(mix, other, one, loud) > 0.4


def test_hum_in_phase_does_not_hide_that_the_voice_is_not() -> None:
    sound, picked_up = voice(8, db=-35), hum(8, 0.1)
    mix = mixed(side_by_side(picked_up + sound, picked_up - sound))
    assert least_share(mix, sound) > 0.9


def test_music_on_one_side_does_not_hide_that_the_voice_is_in_opposite_phase() -> None:
    sound, other = voice(8, db=-30), music(8, -20)
    mix = mixed(side_by_side(sound + other, -sound))
    assert np.median(shares(mix, sound, other)) > 0.9


def test_loud_channels_do_not_hide_quiet_ones_in_opposite_phase() -> None:
    bed, sound = noise(8, -18), voice(8, db=-30)
    mix = mixed(side_by_side(bed, bed, sound, -sound))
    assert least_share(mix, sound, bed) > 0.25


@pytest.mark.parametrize("late", [1, 2, 4, 6])
def test_inverted_copies_may_come_a_little_late(late: int) -> None:
    """In samples of 62 us; without turning one over, most of what is below 500 Hz would be lost."""
    sound = voice(8)
    mix = mixed(side_by_side(sound[late:], -sound[: len(sound) - late]))
    assert np.square(mix).mean() > 0.5 * np.square(sound).mean()


def test_the_phase_may_change_on_the_way() -> None:
    sound = voice(12)
    signs = np.repeat(np.array([1, -1, 1, -1], np.float32), 3 * SAMPLE_RATE)
    assert least_share(mixed(side_by_side(sound, sound * signs)), sound) > 0.85


def test_a_channel_may_start_late() -> None:
    one, other = voice(10, 1), voice(10, 2)
    for shift in (3 * SAMPLE_RATE, 40_001):
        late = np.concatenate((np.zeros(shift, np.float32), other[:-shift]))
        mix = mixed(side_by_side(one, late, silence(10), silence(10)))
        assert least_share(mix, one, late) > 0.45
        assert least_share(mix, late, one) > 0.45


def test_bass_stays_out_of_the_mix_and_a_mistagged_track_does_not() -> None:
    sound, rumble = voice(6), tone(6, -15, 60.0)
    channels = [sound, sound, sound, rumble, sound, sound]
    np.testing.assert_allclose(mixed(side_by_side(*channels), FIVE_ONE), sound, atol=2e-3)
    only = [silence(6)] * 3 + [sound + rumble] + [silence(6)] * 2
    assert least_share(mixed(side_by_side(*only), FIVE_ONE), sound) > 0.9


def test_channels_may_change_on_the_way() -> None:
    one, two, six = voice(3.1, 1), voice(3.1, 2), voice(3.1, 3)
    parts = [
        AudioBlock(one[:, np.newaxis], ("FC",)),
        AudioBlock(side_by_side(two, -two)),
        AudioBlock(side_by_side(*[six] * 6), FIVE_ONE),
    ]
    mix = np.concatenate(list(mix_down(parts)))
    assert len(mix) == 3 * len(one)
    for number, sound in enumerate((one, two, six)):
        assert least_share(mix[number * len(one) :], sound) > 0.9


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 64),
    place=st.integers(0, 63),
    others_db=st.floats(-100, -20) | st.just(-95.0),
    hertz=st.floats(120, 7000),
    signs=st.integers(0, 2**64 - 1),
    seed=st.integers(0, 1000),
)
def test_a_tone_in_one_channel_is_in_the_mix(
    channels: int, place: int, others_db: float, hertz: float, signs: int, seed: int
) -> None:
    """At no less than its share of all channels' sound; alone among silent ones, beyond stereo, at its own level."""
    own = tone(1, -20, hertz)
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((len(own), channels), dtype=np.float32) * np.float32(10 ** (others_db / 20))
    frames *= np.array([1 if signs >> number & 1 else -1 for number in range(channels)], np.float32)
    frames[:, place % channels] = own
    share = least_share(mixed(np.clip(frames, -1, 1)), own)
    assert share > 0.8 / channels
    if channels > 2 and others_db < -90:
        assert share > 0.9


@settings(deadline=None, max_examples=60)
@given(channels=st.integers(1, 64), signs=st.integers(0, 2**64 - 1), seed=st.integers(0, 1000), noisy=st.booleans())
def test_the_same_sound_in_all_channels_comes_out_at_its_own_level(
    channels: int, signs: int, seed: int, noisy: bool
) -> None:
    sound = voice(1, seed)
    each = np.array([1 if signs >> number & 1 else -1 for number in range(channels)], np.float32)
    frames = sound[:, np.newaxis] * each
    if noisy:
        frames = frames + np.random.default_rng(seed).standard_normal(frames.shape, dtype=np.float32) * np.float32(0.01)
    mix = mixed(frames)
    assert 0.85 < least_share(mix, sound) < 1.25
    if not noisy:
        np.testing.assert_allclose(np.abs(mix), np.abs(sound), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(0, 10_000), st.booleans())
def test_the_mix_never_clips_beyond_full_scale(channels: int, seed: int, has_layout: bool) -> None:
    rng = np.random.default_rng(seed)
    loudness = rng.uniform(0, 1, (8, channels)) ** 3
    frames = rng.uniform(-1, 1, (8 * 9000, channels)) * np.repeat(loudness, 9000, axis=0)
    mix = mixed(frames.astype(np.float32), FIVE_ONE if has_layout and channels == 6 else None)
    assert np.abs(mix).max() <= 1.0
    assert np.isfinite(mix).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 8), st.integers(0, 10_000))
def test_changes_of_gain_and_sign_make_no_click(channels: int, seed: int) -> None:
    """From sample to sample the mix moves no faster than its channels do, but for 20 ms ramps of the gains."""
    rng, time = np.random.default_rng(seed), np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    peak, highest = 0.1, 400.0
    places = np.linspace(0, 4, 9)
    # The same tone in every channel, which passes between both phases and silence in half a second.
    sound = peak * np.sin(2 * np.pi * highest * time)
    envelopes = [np.interp(time, places, rng.choice([-1, 0, 1], len(places))) for _ in range(channels)]
    frames = side_by_side(*[(sound * each).astype(np.float32) for each in envelopes])
    steepest = peak * 2 * np.pi * highest / SAMPLE_RATE
    # Within a ramp the former gain still holds, which may be as many times too high as there are channels.
    assert np.abs(np.diff(mixed(frames))).max() < steepest * channels / 2 + 2 * peak * channels / 2 / 320 + 1e-3


def probed(frames: Frames, at: list[int], lengths: Iterable[int] = ()) -> tuple[Samples, dict[int, str]]:
    """The mix, and its state at these frames."""
    probe = MixProbe(at)
    mix = list(mix_down((AudioBlock(block, None) for block in blocks(frames, lengths)), probe))
    return np.concatenate(mix), probe.states


def test_a_mix_of_one_state_goes_on_alike_wherever_it_began() -> None:
    left, right = voice(12, 1), voice(12, 2)
    # First in opposite phase, then silent on one side, then apart from each other.
    right[: 5 * SAMPLE_RATE] = -left[: 5 * SAMPLE_RATE]
    left[5 * SAMPLE_RATE : 9 * SAMPLE_RATE] = 0
    left[9 * SAMPLE_RATE :] = voice(3, 5)
    frames, second = side_by_side(left, right), SAMPLE_RATE
    whole, states = probed(frames, [4 * second, 8 * second], [5 * second, 3 * second])
    assert whole.tobytes() == mixed(frames).tobytes()
    # Begun behind what told the phase of a side that is silent now, it has another state, and goes on otherwise.
    late, late_states = probed(frames[6 * second :], [2 * second])
    assert late_states[2 * second] != states[8 * second]
    assert np.abs(late[3 * second :]).tobytes() != np.abs(whole[9 * second :]).tobytes()
    early, early_states = probed(frames[second:], [7 * second])
    assert early_states[7 * second] == states[8 * second]
    assert np.abs(early[7 * second :]).tobytes() == np.abs(whole[8 * second :]).tobytes()
