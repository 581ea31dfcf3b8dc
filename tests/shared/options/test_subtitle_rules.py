"""Rules of subtitles: by language, then by the deployment's settings, then by the upload's options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.options.parsing import parse_upload_options
from shared.options.subtitle_rules import SubtitleOptions, SubtitleRules
from shared.settings.subtitles import SubtitleSettings


@pytest.mark.parametrize(
    ("language", "columns", "chars_per_second"),
    [("en", 42, 17), ("multi", 42, 17), ("ja", 26, 4), ("ja-JP", 26, 4), ("zh-Hant", 32, 9), ("ko", 32, 12)],
)
def test_rules_are_those_of_the_language(language: str, columns: int, chars_per_second: float) -> None:
    rules = SubtitleRules.of(language)
    assert (rules.columns, rules.chars_per_second) == (columns, chars_per_second)
    assert (rules.lines, rules.min_ms, rules.max_ms) == (2, 1000, 7000)


def test_the_settings_defaults_are_the_rules_defaults() -> None:
    assert SubtitleRules.of("ja", SubtitleSettings().subtitles) == SubtitleRules.of("ja")


def test_an_uploads_options_go_before_the_deployments() -> None:
    rules = SubtitleRules.of("ja", SubtitleOptions(line=30, lines=1, cps=6), SubtitleOptions(lines=3, max=5))
    assert rules == SubtitleRules(columns=30, lines=3, min_ms=1000, max_ms=5000, chars_per_second=6)


def test_a_request_moves_the_limit_that_it_contradicts() -> None:
    assert SubtitleRules.of("en", SubtitleOptions(min=9)).max_ms == 9000
    assert SubtitleRules.of("en", SubtitleOptions(max=0.5)).min_ms == 500


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="SUBTITLE_MIN_SECONDS is more than SUBTITLE_MAX_SECONDS"):
        SubtitleSettings(subtitle_min_seconds=3, subtitle_max_seconds=2)


_SECONDS = st.floats(0, 60, exclude_min=True)
_REQUESTS = st.builds(
    SubtitleOptions,
    line=st.none() | st.integers(8, 200),
    lines=st.none() | st.integers(1, 10),
    min=st.none() | _SECONDS,
    max=st.none() | _SECONDS,
    cps=st.none() | st.floats(0, 100, exclude_min=True),
)


@given(_REQUESTS, _REQUESTS, st.sampled_from(["en", "ja", "ko"]))
def test_what_is_stored_of_rules_gives_just_these_in_any_language(
    deployment: SubtitleOptions, upload: SubtitleOptions, language: str
) -> None:
    rules = SubtitleRules.of("ja", deployment, upload)
    stored = parse_upload_options({"transcribe-subtitles": str(rules.requested)}).subtitles
    assert SubtitleRules.of(language, stored) == rules
