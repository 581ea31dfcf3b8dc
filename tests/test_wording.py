"""Names and phrases that were replaced by plain ones do not come back.

docs/architecture.md defines the words. What is listed here was private language, or a name that said less than
the one that took its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "trigger_function",
    "gpu_job",
    "shared",
    "dropscribe",
    "infra",
    "terraform",
    "tools",
    "benchmarks",
    "tests",
    "docs",
    ".github",
)
SUFFIXES = frozenset({".py", ".md", ".tf", ".hcl", ".toml", ".yml", ".yaml", ".sql", ".json"})
ABOUT_WORDS = frozenset({"tests/test_wording.py"})

INSTEAD = {
    r"\bat_work\b": "services",
    r"\bhungry\b": "set_engine_idle",
    r"\b(engine|waiting|deepgram)[ _]?rooms?\b": "LocalEngine, ChunkQueue, DeepgramEngine",
    r"(?<![a-z])rooms(?![a-z])": "engines",
    r"(?<![a-z])wish(es)?(?![a-z])": "UploadOptions; requested",
    r"(?<![a-z])guests?(?![a-z])": "tasks, chunks",
    r"(?<![a-z])keepers?(?![a-z])": "Heartbeat",
    r"(?<![a-z])inbox(?![a-z])": "WorkSubscription",
    r"(?<![a-z])tariff(?![a-z])": "PricingContext",
    r"\bclass (Work|Repairing|Doubt|Order|Ended|Leaving)\b": "RunningJob, AuditRunner, JobMetrics ...",
    r"\b(def |\.)told\(": "set_attributes, report, describe",
    r"\balert not told\b": "budget alert not published",
    r"\bwant of money\b": "rejected: budget exhausted",
    r"\bconditions of the moment\b": "current conditions",
    r"\bwho looks in\b": "subscriber, poller",
    r"\bheard of it\b": "was notified",
    r"\bspoken for\b": "claimed",
    r"_log\.\w+\(\"too late": "what came after what",
    r"\bin_a_sentence\b": "errors_in_one_line",
    r"\blog_all_that_is_said\b": "capture_output",
    r"\bowned up\b": "reported",
    r"\bGoogles\b": "GoogleMetric",
    r"\b(heard|told)\.(coverage|exit_code|output|stdout|text|words)\b|finish\(self, heard\b": "transcript, output",
    r"\bholes\b": "omissions (words that an engine missed), gaps",
    r"\bclass (World|Asked|Waiting|Decoder)\b": "GoogleState, ApiRequest, BatchCandidate, TdtDecoder",
    r"\b_learn\b": "what is corrected, by what",
}
"""Pattern, whatever its case -> what to write."""


def texts() -> Iterator[tuple[str, str]]:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    for path in [*ROOT.glob("*.md"), ROOT / "pyproject.toml", *files]:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in SUFFIXES and name not in ABOUT_WORDS and path.is_file():
            yield name, path.read_text()


TEXTS = dict(texts())


def test_there_is_something_to_read() -> None:
    assert len(TEXTS) > 400
    assert {"README.md", "gpu_job/__main__.py", "terraform/job.tf", "docs/architecture.md"} <= TEXTS.keys()


@pytest.mark.parametrize("pattern", INSTEAD)
def test_a_replaced_word_stays_away(pattern: str) -> None:
    word = re.compile(pattern, re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in TEXTS.items()
        if word.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if word.search(line)
    ]
    assert found == [], f"instead: {INSTEAD[pattern]}"
