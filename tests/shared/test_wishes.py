"""An owner's wishes as metadata of the object, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.failures import Rejected
from shared.vocabulary import Method
from shared.wishes import Channels, Privacy, Wishes, wishes_of

amounts = st.none() | st.floats(1e-6, 1e9)


@given(
    st.builds(
        Wishes,
        method=st.none() | st.just("auto") | st.sampled_from(Method),
        channels=st.sampled_from(Channels),
        privacy=st.sampled_from(Privacy),
        deadline_minutes=amounts,
        max_cost_usd=amounts,
    )
)
def test_wishes_come_back_from_metadata(wishes: Wishes) -> None:
    assert wishes_of(wishes.metadata()) == wishes


def test_nothing_asked_is_no_metadata() -> None:
    assert Wishes().metadata() == {}
    assert wishes_of({"transcribe-privacy": " ", "other": "x"}) == Wishes()


def test_what_people_write_is_understood() -> None:
    asked = {"transcribe-privacy": " Local", "transcribe-deadline-minutes": "15", "transcribe-max-cost": "$0.50"}
    assert wishes_of(asked) == Wishes(privacy=Privacy.LOCAL, deadline_minutes=15, max_cost_usd=0.5)
    assert wishes_of(asked).is_private


def test_a_private_file_is_private_however_its_key_is_spelt() -> None:
    assert wishes_of({"Transcribe-Privacy": "LOCAL"}).is_private


def test_a_deadline_that_is_no_date_is_rejected() -> None:
    with pytest.raises(Rejected, match="above 0 and up to 1e\\+09"):
        wishes_of({"transcribe-deadline-minutes": "1e15"})


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "1,5"])
@pytest.mark.parametrize("key", ["transcribe-deadline-minutes", "transcribe-max-cost"])
def test_what_is_no_amount_is_rejected_by_name(key: str, value: str) -> None:
    with pytest.raises(Rejected, match=f"The file's {key} is '{value}'; it has to be a number above 0"):
        wishes_of({key: value})


def test_an_unknown_privacy_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(Rejected, match="known are any, local"):
        wishes_of({"transcribe-privacy": "secret"})
