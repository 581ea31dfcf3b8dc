"""The page of `dropscribe up` in a real browser, from a recording that is dropped to its transcript that is heard."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from infra.recordings import recording
from tests.support.browser import WatchedPage, serious_barriers
from tests.support.waiting import PATIENCE

DROP = """([name, data]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  transfer.items.add(new File([bytes], name));
  for (const type of ["dragover", "drop"]) {
    document.getElementById("drop").dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true }));
  }
}"""
"""What a browser does when a person lets go of a file above the zone."""


@dataclass(frozen=True)
class Up:
    """A running `dropscribe up`."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("watched")
    command = [sys.executable, "-m", "infra.cli.main", "up", str(folder), "--model", "tiny"]
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("temporary"))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        found = next(found for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield Up(found[0], folder)
    finally:
        process.terminate()  # not SIGINT, which a shell has what it starts in the background ignore
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_dropped_recording_becomes_a_transcript_that_is_heard(chromium: Browser, up: Up) -> None:
    context = chromium.new_context()
    watched = WatchedPage(context.new_page())
    page = watched.page
    page.goto(up.url)
    name = "<img src=x onerror=alert(1)> memo.wav"
    page.evaluate(DROP, [name, b64encode(recording("memo").path.read_bytes()).decode()])
    row = page.locator("#uploads li").filter(has_text=name)
    expect(row).to_have_count(1)
    # By the button, too, and what cannot be transcribed is said.
    page.locator("#drop input").set_input_files([{"name": "no.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio"}])
    expect(page.locator("#uploads li").filter(has_text="no.mp3").locator(".failed")).to_contain_text("rejected: ")
    expect(row).to_contain_text("completed")
    # The report below knows both by now, without a reload.
    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    expect(page.locator("#jobs tbody")).to_contain_text(name)
    with context.expect_page() as opened:
        row.get_by_role("link").click()
    transcript = WatchedPage(opened.value)
    transcript.wait_for("document.querySelector('audio') && document.querySelector('audio').readyState > 0")
    transcript.page.locator(".word").nth(9).click()
    transcript.wait_for("document.querySelector('audio').currentTime > 1")
    assert transcript.faults == []
    assert watched.faults == []
    context.close()


def test_a_file_in_the_folder_is_shown_to_every_open_page(chromium: Browser, up: Up) -> None:
    context = chromium.new_context()
    pages = [context.new_page(), context.new_page()]
    for page in pages:
        page.goto(up.url)
    shutil.copy(recording("memo").path, up.folder / "copied.wav")
    for page in pages:
        row = page.locator("#uploads li").filter(has_text="copied.wav")
        expect(row).to_contain_text(re.compile("inspected|waiting|starting|transcribing|completed"))
        expect(row.get_by_role("link")).to_have_attribute(
            "href", re.compile("^/jobs/[0-9a-f]{24}/transcript.html#audio=")
        )
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_serious_barriers(chromium: Browser, up: Up, scheme: str) -> None:
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(up.url)
    page.evaluate(DROP, ["empty.mp3", ""])
    expect(page.locator("#uploads li").filter(has_text="empty.mp3")).to_contain_text("not uploaded: The file is empty.")
    assert serious_barriers(page) == []
    context.close()


ATTACKS = """async (url) => {
  const upload = `${url}/uploads?name=stolen.mp3`;
  const read = (answer) => answer.text().then((text) => `read ${text}`);
  const loaded = (element) => new Promise((done) => {
    element.addEventListener("load", () => done("loaded"));
    element.addEventListener("error", () => done("refused"));
    document.body.append(element);
  });
  const form = Object.assign(document.createElement("form"), { method: "post", action: upload, target: "frame" });
  const frame = Object.assign(document.createElement("iframe"), { name: "frame", src: url });
  await loaded(frame);
  const framed = [frame.contentDocument === null ? "refused" : frame.contentDocument.body.innerText];
  const submitted = new Promise((done) => frame.addEventListener("load", () => done("answered")));
  document.body.append(form);
  form.submit();
  await submitted;
  const header = { "X-Dropscribe-Token": "x" };
  return [
    ...framed,
    await fetch(upload, { method: "POST", body: "x", mode: "no-cors" }).catch(() => "refused"),
    await fetch(upload, { method: "POST", body: "x", headers: header }).then(read, () => "refused"),
    await fetch(url).then(read, () => "refused"),
    await new Promise((done) => {
      const events = new EventSource(`${url}/events`);
      events.addEventListener("jobs", ({ data }) => done(data));
      events.addEventListener("error", () => done("refused"));
    }),
    await loaded(Object.assign(document.createElement("script"), { src: url })),
  ];
}"""
"""What another page can try; all but the form in a frame, whose answer it cannot see, say what came of it."""


@contextmanager
def another_site(folder: Path) -> Iterator[str]:
    (folder / "index.html").write_text("<!doctype html><title>x</title><body></body>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_page_of_another_origin_cannot_upload_and_reads_nothing(chromium: Browser, up: Up, tmp_path: Path) -> None:
    context = chromium.new_context()
    page = context.new_page()
    with another_site(tmp_path) as site:
        for host in (site, site.replace("127.0.0.1", "localhost")):
            page.goto(host)
            assert page.evaluate(ATTACKS, up.url) == ["refused"] * 6
    # An upload of the page's own, behind them: what they had uploaded would be shown by then.
    page.goto(up.url)
    page.evaluate(DROP, ["after.mp3", b64encode(b"no audio").decode()])
    expect(page.locator("#uploads li").filter(has_text="after.mp3")).to_contain_text("rejected")
    expect(page.locator("#uploads li").filter(has_text="stolen.mp3")).to_have_count(0)
    context.close()
