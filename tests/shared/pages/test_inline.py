"""Hashes, policy, data and packed numbers of pages."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pages.inline import InlineFiles, inline_files, json_in_script
from shared.pages.packing import packed, packed_signed


def test_the_policy_names_style_and_script_and_nothing_else() -> None:
    policy = InlineFiles("a { }", "1").policy("media-src blob:")
    script = base64.b64encode(hashlib.sha256(b"1").digest()).decode()
    assert f"script-src 'sha256-{script}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("; media-src blob:")
    assert "unsafe" not in policy


def test_the_base_comes_first() -> None:
    files = inline_files("shared.transcript.page", ["page.css"], ["scripts/page.js"])
    assert files.style.startswith(":root")
    assert files.script.index("function element(") < files.script.index("The tools above the text")


@given(st.dictionaries(st.text(), st.text()))
def test_data_says_the_same_and_ends_no_script(data: dict[str, str]) -> None:
    text = json_in_script(data)
    assert json.loads(text) == data
    assert not re.search("[<>&\u2028\u2029\x80]", text)


def unpacked(text: str) -> list[int]:
    """As base.js does it."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    numbers, number, worth = [], 0, 1
    for character in text:
        digit = digits.index(character)
        number, worth = number + digit % 32 * worth, worth * 32
        if digit < 32:
            numbers.append(number)
            number, worth = 0, 1
    return numbers


@given(st.lists(st.integers(min_value=0, max_value=2**40)))
def test_numbers_are_the_same_unpacked(numbers: list[int]) -> None:
    assert unpacked(packed(numbers)) == numbers


@given(st.lists(st.integers(min_value=-(2**30), max_value=2**30)))
def test_numbers_below_zero_are_odd_ones(numbers: list[int]) -> None:
    assert [-(one + 1) // 2 if one % 2 else one // 2 for one in unpacked(packed_signed(numbers))] == numbers


def test_no_number_below_zero_is_packed_without_its_sign() -> None:
    with pytest.raises(ValueError, match="-1"):
        packed([-1])


def test_what_a_few_numbers_are() -> None:
    assert packed([0, 31, 32, 1023]) == "A" + "f" + "gB" + "_f"
