"""Rules of a deployment: which uploads they match, what they give, and what they may not take back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enums import Channels, Method, Privacy
from shared.errors import Rejected
from shared.options.parsing import parse_upload_options
from shared.options.rules import MAX_CHARACTERS, MAX_RULES, NO_RULES, Rule, parse_rules
from shared.options.speaker_count import SpeakerCount
from shared.redaction.kinds import Redact

RULES = parse_rules("""
[[rule]]
pattern = "**"
deadline-minutes = 600
max-cost = 2

[[rule]]
pattern = "therapy/**"
privacy = "local"
speakers = "2"
speaker-names = ["Ann", "Ben"]
monthly-budget-usd = 25

[[rule]]
pattern = "*/calls/*.wav"
channels = "split"
deadline-minutes = 30
""")


def test_without_rules_an_upload_gets_what_it_asks_for() -> None:
    asked = {"transcribe-method": "hybrid", "unrelated": "x"}
    assert NO_RULES.options("a.mp3", asked) == parse_upload_options(asked)
    assert parse_rules("") == NO_RULES


def test_every_rule_that_matches_applies_a_later_one_over_an_earlier_one() -> None:
    options = RULES.options("acme/calls/a.wav", {})
    assert (options.deadline_minutes, options.channels, options.max_cost_usd) == (30, Channels.SPLIT, 2)
    assert RULES.options("a.wav", {}).deadline_minutes == 600
    session = RULES.options("therapy/2026/11/a.m4a", {})
    assert (session.speakers, session.speaker_names) == (SpeakerCount(least=2, most=2), ("Ann", "Ben"))
    assert RULES.folder_budgets() == {"therapy": 25}


def test_an_uploads_own_metadata_stands_over_the_rules() -> None:
    options = RULES.options("acme/calls/a.wav", {"Transcribe-Channels": "mix", "transcribe-method": "parakeet"})
    assert (options.channels, options.method, options.deadline_minutes) == (Channels.MIX, Method.PARAKEET, 30)
    # An empty value asks for nothing.
    assert RULES.options("acme/calls/a.wav", {"transcribe-channels": " "}).channels is Channels.SPLIT


def test_no_metadata_lets_a_private_folder_leave_or_cost_more() -> None:
    asked = {"transcribe-privacy": "any", "transcribe-max-cost": "50"}
    options = RULES.options("therapy/a.m4a", asked)
    assert (options.privacy, options.max_cost_usd) == (Privacy.LOCAL, 2)
    assert RULES.options("a.m4a", {"transcribe-privacy": "local"}).is_private
    assert RULES.options("a.m4a", {"transcribe-max-cost": "1"}).max_cost_usd == 1


def test_what_a_rule_redacts_stays_redacted() -> None:
    rules = parse_rules("""
[[rule]]
pattern = "a/**"
redact = ["pii", "custom"]
redact-terms = "project heron"
""")
    options = rules.options("a/b.wav", {"transcribe-redact": "numbers", "transcribe-redact-terms": "blue file"})
    assert options.redact == (Redact.PII, Redact.NUMBERS, Redact.CUSTOM)
    assert set(options.redact_terms) == {"project heron", "blue file"}


def test_no_later_rule_lets_a_private_folder_leave() -> None:
    rules = parse_rules('[[rule]]\npattern = "**"\nprivacy = "local"\n[[rule]]\npattern = "a/**"\nprivacy = "any"\n')
    assert rules.options("a/b.wav", {}).is_private


def test_metadata_that_contradicts_a_rule_is_rejected() -> None:
    with pytest.raises(Rejected, match="transcribe-track: all mixes tracks"):
        RULES.options("acme/calls/a.wav", {"transcribe-track": "all"})


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("**", "a/b/c.wav", True),
        ("*.wav", "a.wav", True),
        ("*.wav", "a/b.wav", False),
        ("a/*/c.wav", "a/b/c.wav", True),
        ("a/*/c.wav", "a/b/b/c.wav", False),
        ("a/**", "a/", True),
        ("a/**", "ab/c.wav", False),
        ("**/calls/**", "a/calls/b.wav", True),
        ("?.wav", "a.wav", True),
        ("?.wav", "/.wav", False),
        ("a[1].wav", "a[1].wav", True),
        ("a+b (1).wav", "a+b (1).wav", True),
        ("a/**", "a/line\nbreak.wav", True),
        ("A/**", "a/b.wav", False),
    ],
)
def test_patterns_match_whole_names(pattern: str, name: str, is_match: bool) -> None:
    assert Rule(pattern).matches(name) is is_match


@given(st.text(max_size=30))
def test_a_name_without_signs_matches_itself_alone(name: str) -> None:
    pattern = name.replace("*", "").replace("?", "")
    assert Rule(pattern).matches(pattern)
    assert not Rule(pattern).matches(f"{pattern}x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rule = 1", "begin with"),
        ('[rule]\npattern = "a"', "begin with"),
        ('[[rules]]\npattern = "a"', "begin with"),
        ("[[rule]", "not TOML"),
        ('[[rule]]\nprivacy = "local"', "rule 1 has no pattern"),
        ('[[rule]]\npattern = "a/**"\nprivat = "local"', "'privat' is no option; there are channels, "),
        ('[[rule]]\npattern = "a/**"\nvideo-id = "7"', "'video-id' is no option"),
        ('[[rule]]\npattern = "a/**"\nprivacy = "secret"', r"rule 1 \(a/\*\*\): The file's transcribe-privacy"),
        ('[[rule]]\npattern = "a/**"\nspeakers = {a = 1}', "speakers has to be a text"),
        ('[[rule]]\npattern = "a/*.wav"\nmonthly-budget-usd = 5', "one folder of the bucket"),
        ('[[rule]]\npattern = "a/**"\nmonthly-budget-usd = -5', "number above 0"),
        ('[[rule]]\npattern = "a/**"\nmonthly-budget-usd = nan', "number above 0"),
        ('[[rule]]\npattern = "a/**"\nmonthly-budget-usd = 1\n' * 2, "two budgets"),
        ('[[rule]]\npattern = "a"\n' * (MAX_RULES + 1), f"{MAX_RULES} are the most"),
        ("#" * (MAX_CHARACTERS + 1), "more than"),
    ],
)
def test_what_are_no_rules_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_rules(text)


@pytest.mark.parametrize("wildcards", [300 * "**a", 300 * "*a", 200 * "*a**b"])
def test_no_name_takes_long_to_compare(wildcards: str) -> None:
    """As a regular expression each would outlast the test's time limit."""
    assert not Rule(f"{wildcards}!").matches(1000 * "a")


@given(
    pattern=st.lists(st.sampled_from(["*", "**", "?", "a", "b", "/", "."]), max_size=7).map("".join),
    name=st.text("ab/.", max_size=7),
)
def test_a_pattern_matches_as_its_regular_expression_would(pattern: str, name: str) -> None:
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(signs.get(one, re.escape(one)) for one in re.findall(r"\*\*|.", pattern))
    assert Rule(pattern).matches(name) == (re.fullmatch(expression, name, re.DOTALL) is not None)
