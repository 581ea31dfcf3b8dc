"""Sounds for measuring: stretches of real speech, no two alike.

Equal chunks are decoded in step, so that the decoder's loop ends for all of them at once: on them it looks several
times cheaper than it is. Noise has other tokens a second than speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import recording

LONG = ("long_seen.opus", "long_unseen.opus")
"""Twenty minutes."""
STRIDE = 116_003
"""Samples from the start of one stretch to that of the next; a prime, so that they begin anywhere in a word."""


@cache
def speech(*names: str) -> Samples:
    """Shipped recordings, one after the other; by default LONG."""
    return np.concatenate([block for name in names or LONG for block in decode(recording(name).path)])


def stretches(sound: Samples, seconds: float, count: int) -> list[Samples]:
    """So many stretches of a sound, each so long, and each begun elsewhere."""
    length = round(seconds * SAMPLE_RATE)
    sound = np.resize(sound, max(len(sound), 2 * length))
    room = len(sound) - length
    return [sound[at : at + length] for at in starts(room, count)]


def starts(room: int, count: int) -> Sequence[int]:
    """Where the stretches begin, `room` being the last place; all different where there are as many places."""
    taken: dict[int, None] = {}
    at = 0
    while len(taken) < min(count, room):
        while at in taken:
            at = (at + 1) % room
        taken[at] = None
        at = (at + STRIDE) % room
    found = list(taken)
    return [found[index % len(found)] for index in range(count)]
