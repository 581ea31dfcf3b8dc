"""The pages about a deployment name settings, variables, files, places and log lines that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.terraform_offline.terraform import ROOT

PAGES = ("docs/deploy.md", "docs/tutorial-deploy.md", "docs/operations.md", "docs/telemetry.md", "terraform/README.md")
NOT_SETTINGS = {
    *("BUCKET_PREFIX", "TOPIC_PREFIX", "DRY_RUN", "JOB_ID", "RETRY_POLICY_RETRY"),
    *("PERMISSION_DENIED", "GOOGLE_APPLICATION_CREDENTIALS", "DEEPGRAM_API_KEY"),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Path:
    return ROOT / str(request.param)


def anchors(path: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_settings_exist(page: Path) -> None:
    known = (ROOT / "docs/configuration.md").read_text()
    named = set(re.findall(r"(?<![\w{$/.-])(?!OTEL_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", page.read_text())) - NOT_SETTINGS
    assert [name for name in sorted(named) if f"`{name}`" not in known] == []


def test_variables_exist(page: Path) -> None:
    declared = "\n".join(path.read_text() for path in (ROOT / "terraform").glob("*.tf"))
    named = set(re.findall(r"(?:^    |`)([a-z_]+) += ", page.read_text(), re.MULTILINE))
    assert [name for name in sorted(named) if f'variable "{name}"' not in declared] == []


def test_another_deployment_of_a_project_has_topics_of_its_own(page: Path) -> None:
    """Topics are named neither after the deployment nor its region: Pub/Sub refuses a second one of a name."""
    commands = re.findall(r"make deploy [^`\n]*\bDEPLOYMENT=[^`\n]*", page.read_text())
    assert [command for command in commands if "TOPIC_PREFIX=" not in command] == []


def test_the_scheduler_is_called_where_the_deployment_is(page: Path) -> None:
    commands = re.findall(r"dropscribe reconcile [^`\n]*", page.read_text())
    assert [command for command in commands if "--region" not in command] == []


def test_quoted_log_lines_are_logged() -> None:
    lines = ("the event will be delivered again", "launch failed", "execution launched", "model load failed")
    lines += (
        "model loaded",
        "batch failed, halving",
        "worker ends",
        "deepgram failed",
        "unreadable work item",
        "routed",
    )
    code = "\n".join(
        path.read_text() for part in ("gpu_job", "shared", "trigger_function") for path in (ROOT / part).rglob("*.py")
    )
    page = (ROOT / "docs/operations.md").read_text()
    for line in lines:
        assert f'"{line}"' in page
        assert f'"{line}"' in code


TUTORIAL = (ROOT / "docs/tutorial-deploy.md").read_text()
DIRECTIVES = {"tutorial-duration", "project-setup", "project-id", "conclusion-trophy"}
"""Of Cloud Shell's tutorials, those that are used (its pages on directives, read in November 2026)."""


def test_the_tutorial_uses_directives_that_cloud_shell_knows_and_begins_as_its_pages_do() -> None:
    assert set(re.findall(r"<walkthrough-([a-z-]+)", TUTORIAL)) == DIRECTIVES
    assert TUTORIAL.startswith("# ")
    assert len(re.findall(r"^## ", TUTORIAL, re.MULTILINE)) > 5
    assert TUTORIAL.count("```") == 2 * TUTORIAL.count("```sh\n")


def test_the_tutorials_make_commands_are_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^make (\w+)(.*)$", TUTORIAL, re.MULTILINE)
    assert {target for target, _ in commands} == {"deploy", "rehearse", "destroy"}
    for target, options in commands:
        assert f"\n{target}: " in makefile
        for name in re.findall(r"(\w+)=", options):
            assert f"$({name})" in makefile or f"call option,{name}," in makefile, name
