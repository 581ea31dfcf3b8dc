"""The report in a real browser: sorted, searched and filtered, with hostile names, and without barriers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from infra.cli.report.data import JobRow, ReportData, report_data
from infra.cli.report.page import report_page
from shared.enums import Method, Outcome
from shared.transcript.model import Gap
from tests.support.browser import WatchedPage, serious_barriers
from tests.support.ended_jobs_of_month import DAY_16, MONTH, ended_job, lines_of, waiting_job

HOSTILE = [
    "</script><script>alert(1)</script>/a.mp3",
    "<img src=x onerror=alert(2)>/b.mp3",
    "{{ 7 * 7 }}{% raw %}/c.mp3",
    "\u202egpj.3pm\u202c/&lt;d&gt;.mp3",
    "'\"><svg onload=alert(3)>/\x1b]0;x\x07\x00.mp3",
]
"""Names with hostile folders, which are labels of charts, too."""

Open = Callable[..., WatchedPage]


def month(*, hostile: bool = False) -> ReportData:
    jobs = [
        ended_job(1, usd=0.25, work_seconds=60),
        ended_job(
            2,
            day=4,
            usd=0.75,
            audio_seconds=1200,
            outcome=Outcome.COMPLETED_WITH_GAPS,
            gaps=(Gap(start=1, end=9, reason="Damaged."),),
        ),
        ended_job(3, name="radio/news.mp3", method=Method.DEEPGRAM, usd=0.5, rule="short", decision="It is short."),
        ended_job(4, name="top.mp3", method=None, outcome=Outcome.REJECTED, reason="It has no audio track."),
        ended_job(5, usd=0.05, outcome=Outcome.FAILED, reason="The model crashed.", rule="gpu-fallback"),
    ]
    if hostile:
        text = "</script><script>alert(4)</script>"
        jobs += [ended_job(9 + at, name=name, reason=text, decision=text) for at, name in enumerate(HOSTILE)]
    entries, known = lines_of(*jobs)
    waiting, record = waiting_job(6, usd=1.0)
    return report_data([*entries, waiting], {**known, waiting.id: record}, MONTH, DAY_16, budget_usd=4.0)


@pytest.fixture
def open_report(chromium: Browser, tmp_path: Path) -> Iterator[Open]:
    contexts = []

    def opened(data: ReportData | None = None, **options: Any) -> WatchedPage:
        path = tmp_path / "report.html"
        path.write_text(report_page(data or month()), "utf-8")
        context = chromium.new_context(**options)
        contexts.append(context)
        watched = WatchedPage(context.new_page())
        watched.page.goto(path.as_uri())
        return watched

    yield opened
    for context in contexts:
        context.close()


def column(watched: WatchedPage, number: int) -> list[str]:
    return [text.strip() for text in watched.page.locator(f"#jobs tbody td:nth-child({number})").all_text_contents()]


def test_jobs_are_sorted_by_a_click_on_a_title(open_report: Open) -> None:
    watched = open_report()
    assert column(watched, 1)[0] == "2026-11-15"
    cost = watched.page.get_by_role("button", name="Cost")
    cost.click()
    assert column(watched, 6) == ["$1.00", "$0.7500", "$0.5000", "$0.2500", "$0.0500", "$0.0000"]
    expect(watched.page.get_by_role("columnheader", name="Cost").last).to_have_attribute("aria-sort", "descending")
    cost.click()
    assert column(watched, 6)[0] == "$0.0000"
    # What nobody knows comes last, whichever way.
    speed = watched.page.get_by_role("button", name="x real time")
    speed.click()
    assert column(watched, 9) == ["20.0", "10.0", "10.0", "-", "-", "-"]
    speed.click()
    assert column(watched, 9) == ["10.0", "10.0", "20.0", "-", "-", "-"]
    assert watched.faults == []


def test_jobs_are_searched_and_filtered(open_report: Open) -> None:
    watched = open_report()
    page = watched.page
    count = page.locator("#jobs output")
    expect(count).to_have_text("1 to 6 of 6 jobs, $2.55")
    page.get_by_role("searchbox").fill("CRASHED")
    expect(count).to_have_text("1 to 1 of 1 jobs, $0.0500")
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Outcome", exact=True).select_option("completed")
    page.get_by_label("Method", exact=True).select_option("deepgram")
    expect(count).to_have_text("1 to 1 of 1 jobs, $0.5000")
    page.get_by_label("Folder", exact=True).select_option("calls/")
    expect(count).to_have_text("0 jobs, $0.0000")
    page.get_by_label("Method", exact=True).select_option("")
    assert column(watched, 2) == ["calls/1.mp3"]
    page.get_by_text("cheapest").last.click()
    expect(page.get_by_text("An L4 is cheapest for 10 min of audio.").last).to_be_visible()


def test_ten_thousand_jobs_are_a_page_of_a_hundred(open_report: Open) -> None:
    data = month()
    jobs: list[JobRow] = [
        replace(data.jobs[at % 6], id=f"{at:024x}", name=f"calls/{at:05d}.mp3", usd=at / 1000) for at in range(10_000)
    ]
    watched = open_report(replace(data, jobs=jobs))
    rows = watched.page.locator("#jobs tbody tr")
    expect(rows).to_have_count(100)
    watched.page.get_by_role("button", name="Upload").click()
    assert column(watched, 2)[0].startswith("calls/00000.mp3")
    watched.page.get_by_role("button", name="Next").click()
    assert column(watched, 2)[0].startswith("calls/00100.mp3")
    watched.page.get_by_role("searchbox").fill("/0999")
    expect(watched.page.locator("#jobs output")).to_have_text(re.compile("^1 to 10 of 10 jobs"))
    assert len(report_page(replace(data, jobs=jobs))) < 5_000_000
    assert watched.faults == []


def test_hostile_names_are_text(open_report: Open) -> None:
    watched = open_report(month(hostile=True))
    text = watched.page.locator("body").inner_text()
    assert HOSTILE[0].partition("/a")[0] + "/" in text
    assert "{{ 7 * 7 }}{% raw %}/" in text
    assert "\\u202egpj.3pm" in text
    assert "\u202e" not in text
    watched.page.get_by_role("searchbox").fill("gpj.3pm")
    assert column(watched, 2)[0].startswith("\\u202egpj.3pm\\u202c/&lt;d&gt;.mp3")
    assert watched.page.locator("img, svg[onload], script:not(#data):not(body > script)").count() == 0
    titles = watched.page.locator("svg title").all_text_contents()
    assert any(HOSTILE[1].partition("/b")[0] in title for title in titles)
    assert watched.faults == []
    assert [url for url in watched.requests if not url.startswith("file:")] == []


def test_the_policy_allows_no_other_script(open_report: Open) -> None:
    watched = open_report()
    watched.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }))"
    )
    assert watched.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in fault for fault in watched.faults)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_serious_barriers(open_report: Open, scheme: str) -> None:
    watched = open_report(color_scheme=scheme, bypass_csp=True)
    assert serious_barriers(watched.page) == []
    alternatives = watched.page.locator("svg").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert len(alternatives) == 4
    assert all(alternatives)


def test_without_scripts_every_sum_is_there(open_report: Open) -> None:
    watched = open_report(java_script_enabled=False)
    expect(watched.page.get_by_role("heading", name="By folder")).to_be_visible()
    assert "$1.55" in watched.page.locator("dl.figures").inner_text()
    expect(watched.page.locator("noscript p")).to_be_visible()
