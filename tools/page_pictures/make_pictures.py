"""Make the pictures of transcript.html in docs/images again: `python -m tools.page_pictures.make_pictures`.

Needs a Chromium (Debian: `chromium`). FFmpeg brings the pictures to 64 colours, a third of Chromium's bytes.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import imageio_ffmpeg
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from shared.enums import Engine
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Overlap, Passage, Speaker, Transcript, Word
from shared.transcript.render import render

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_SIZE: ViewportSize = {"width": 900, "height": 760}
_COLOURS = 64
_FFMPEG_OPTIONS = ("-hide_banner", "-loglevel", "error", "-nostdin", "-y")

_SAID = (
    (0, "Good morning everybody, and welcome to the meeting."),
    (1, "Thank you for having us. Shall we begin with the budget?"),
    (0, "Yes. Last quarter we spent a little less than planned, mostly on storage."),
    (2, "And the recordings of the support calls, are they in that figure already?"),
    (None, "Mhm."),
    (0, "They are, since October."),
)
"""Speaker, and what they say."""
_SECONDS, _STEP = 40, 0.42


class Picture(NamedTuple):
    """One file in docs/images."""

    name: str
    scheme: Literal["light", "dark"]
    prepare: Callable[[Page], None]
    """What a person does before it is taken."""


def _find(page: Page) -> None:
    page.locator('.word[data-word="20"]').click()
    page.get_by_role("searchbox").fill("recordings")


def _choose_speakers(page: Page) -> None:
    page.locator("summary", has_text="Speakers").click()
    page.get_by_label("Show Ben").uncheck()
    page.get_by_label("Name of speaker 2").click()


PICTURES = (
    Picture("transcript-page-light.png", "light", _find),
    Picture("transcript-page-dark.png", "dark", _find),
    Picture("transcript-page-speakers.png", "light", _choose_speakers),
)


def _words() -> Iterator[Word]:
    at = 0.4
    for speaker, sentence in _SAID:
        for number, text in enumerate(sentence.split()):
            confidence = 0.62 if number % 9 == 3 else 0.96
            yield Word(text=text, start=at, end=at + 0.8 * _STEP, confidence=confidence, speaker=speaker)
            at += _STEP
        at += 1.0


def _loudness() -> tuple[int, ...]:
    """Of each second: like speech until the gap, then next to nothing."""
    return tuple(round(-24 + 9 * math.sin(at * 2.3) * math.sin(at * 0.7)) if at < 28 else -62 for at in range(_SECONDS))


def meeting() -> Transcript:
    """What the pictures show: three speakers, one moment of two at once, doubtful words, and a gap."""
    names = ("Anna", "Ben", "Speaker 2")
    return compose(
        job_id="0" * 24,
        source="gs://recordings/meetings/budget.mp4#1795874533889644",
        duration=float(_SECONDS),
        language="en",
        model="nvidia/parakeet-tdt-0.6b-v2",
        passages=[Passage(Engine.PARAKEET_GPU, list(_words()))],
        speakers=tuple(
            Speaker(number=number, name=name, seconds=seconds)
            for number, (name, seconds) in enumerate(zip(names, (10.5, 4.6, 5.4), strict=True))
        ),
        overlaps=(Overlap(start=9.2, end=9.8, speakers=(0, 1)),),
        coverage=Coverage(
            speech_seconds=24.0,
            covered_seconds=22.0,
            gaps=(Gap(start=33.0, end=35.0, reason="The file is damaged here."),),
        ),
        loudness=_loudness(),
    )


def _take(browser: Browser, page_file: Path, picture: Picture, folder: Path) -> Path:
    """The picture's file, in `folder`."""
    context = browser.new_context(viewport=_SIZE, color_scheme=picture.scheme)
    page = context.new_page()
    page.goto(page_file.as_uri())
    picture.prepare(page)
    taken = folder / f"whole-{picture.name}"
    page.screenshot(path=taken)
    context.close()
    made = folder / picture.name
    # Without dithering, which makes a page's flat areas larger files.
    filters = f"split[a][b];[a]palettegen=max_colors={_COLOURS}:reserve_transparent=0[p];[b][p]paletteuse=dither=none"
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *_FFMPEG_OPTIONS, "-i", taken, "-vf", filters, made], check=True)
    return made


def main() -> None:
    """Make every picture, and say how large it is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="its program; default: the one in PATH")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        page_file = folder / "transcript.html"
        page_file.write_bytes({file.name: file.data for file in render(meeting())}["transcript.html"])
        # In containers, where this runs as root, Chromium's own sandbox cannot.
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        for picture in PICTURES:
            made = _take(browser, page_file, picture, folder)
            shutil.copyfile(made, IMAGES / picture.name)
            print(f"{picture.name}: {made.stat().st_size} bytes")
        browser.close()


if __name__ == "__main__":
    main()
