"""A real browser: Debian's Chromium, or the one that Playwright installs, found by look-up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.waiting import PATIENCE, wait_until

expect.set_options(timeout=PATIENCE * 1000)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window. Skips where there is none."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
        # Tests run as root in containers, where Chromium's own sandbox cannot.
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class WatchedPage:
    """A page in which nothing goes wrong unseen: its scripts' errors, its policy's refusals, requests to elsewhere."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.accept()))
        page.on("request", lambda request: self.requests.append(request.url))

    def wait_for(self, expression: str) -> None:
        """Until JavaScript is true. Playwright's own waiting evaluates text in the page, which its policy refuses."""
        wait_until(lambda: bool(self.page.evaluate(expression)), expression)


def serious_barriers(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core calls serious or critical: the rule, and the elements."""
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
