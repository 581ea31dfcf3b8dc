"""docs/configuration.md says what the settings models say."""

from pathlib import Path

from infra.cli.configuration import page


def test_the_page_is_up_to_date() -> None:
    assert Path("docs/configuration.md").read_text() == page()


def test_every_setting_of_function_and_job_is_on_the_page() -> None:
    text = page()
    assert all(f"`{name}`" in text for name in ("GPU_JOB", "WORK_SUBSCRIPTION", "DEEPGRAM_API_KEY", "RESULTS_BUCKET"))
