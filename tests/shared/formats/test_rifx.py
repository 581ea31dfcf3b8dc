"""Big-endian WAV files: what they hold is heard, not noise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dropscribe.local_media import inspected
from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from shared.errors import BadMedia
from shared.transcript.model import Gap
from tests.support.sounds import tone

SOUND = tone(3.0, -12.0)
FORMS = {
    "16 bits": (1, 16, (SOUND * 32767).astype(">i2")),
    "32 bits": (1, 32, (SOUND * 2**31).astype(">i4")),
    "float": (3, 32, SOUND.astype(">f4")),
    "double": (3, 64, SOUND.astype(">f8")),
}


def rifx(kind: int, bits: int, samples: NDArray[np.generic], *, stated: int | None = None) -> bytes:
    data = samples.tobytes()
    form = struct.pack(">HHIIHH", kind, 1, 16_000, 16_000 * bits // 8, bits // 8, bits)
    chunks = b"fmt " + struct.pack(">I", len(form)) + form + b"data" + struct.pack(">I", stated or len(data)) + data
    return b"RIFX" + struct.pack(">I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_samples_are_those_of_the_file(form: tuple[int, int, NDArray[np.generic]], tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(rifx(*form))
    media = inspected(path)
    assert (media.sample_rate_hz, media.channels) == (16_000, 1)
    assert media.duration_seconds == pytest.approx(3.0)
    assert media.has_wrong_header  # Deepgram is not sent what may be noise to it
    samples = np.concatenate(list(decode(path)))
    np.testing.assert_allclose(samples, SOUND, atol=1e-4)


def test_what_one_that_was_cut_lacks_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(rifx(*FORMS["16 bits"])[: -len(SOUND)])
    media = inspected(path)
    assert media.duration_seconds == pytest.approx(1.5, abs=0.01)
    assert media.promised_seconds == pytest.approx(3.0, abs=0.01)
    gaps: list[Gap] = []
    assert sum(map(len, decode(path, DecodeOptions(on_damage=gaps.append)))) == pytest.approx(1.5 * 16_000, abs=16)
    assert [(gap.start, gap.end) for gap in gaps] == [pytest.approx((1.5, 3.0), abs=0.01)]


def test_samples_that_au_has_not_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(rifx(2, 4, np.zeros(8000, np.uint8)))
    with pytest.raises(BadMedia):
        inspected(path)
