"""Key terms as Deepgram takes them: so many of so many tokens, of models that take any, and what that costs."""

from __future__ import annotations

import pytest

from shared.costs.bill import deepgram_bill
from shared.costs.prices import PriceBook
from shared.deepgram_request import DeepgramRequest
from shared.keyterms.deepgram import MOST_TERMS, deepgram_terms, terms_at_deepgram
from shared.keyterms.terms import Keyterm, parse_keyterms
from shared.options.model import UploadOptions


def many(count: int, length: int = 8) -> tuple[Keyterm, ...]:
    return tuple(Keyterm(phrase=f"{number:0{length}d}") for number in range(count))


def test_phrases_without_their_weights_those_with_the_highest_first() -> None:
    sent = deepgram_terms(parse_keyterms("a; b:2; ratio 3:1:0.5"), "nova-3")
    assert (sent.phrases, sent.left_out, sent.reason) == (("b", "a", "ratio 3:1"), (), "")


@pytest.mark.parametrize(("length", "most"), [(3, MOST_TERMS), (30, 45), (100, 14)])
def test_no_more_than_deepgram_takes(length: int, most: int) -> None:
    terms = many(150, length)
    sent = deepgram_terms(terms, "nova-3")
    assert len(sent.phrases) == most
    assert {*sent.phrases, *sent.left_out} == {term.phrase for term in terms}
    assert "100 terms" in sent.reason


def test_other_models_get_none() -> None:
    terms = parse_keyterms("a; b")
    assert deepgram_terms(terms, "nova-2").phrases == ()
    report = terms_at_deepgram(terms, "nova-2")
    assert (report.favoured, report.left_out) == (False, ("a", "b"))
    assert terms_at_deepgram(terms, "nova-3-medical").favoured


def test_what_is_asked_for_uploads_and_for_chunks() -> None:
    options = UploadOptions(keyterms=parse_keyterms("Cloud Run:2"))
    for request in (DeepgramRequest.of_upload(options, "en"), DeepgramRequest.of_chunks(options, "en")):
        assert request.parameters("nova-3")["keyterm"] == ("Cloud Run",)
        assert request.parameters("nova-2")["keyterm"] is None
    assert DeepgramRequest("en").parameters("nova-3")["keyterm"] is None


def test_they_have_a_line_of_their_own_on_the_bill() -> None:
    book = PriceBook.load()
    plain, favoured = (deepgram_bill("nova-3", 600, 0, book, keyterms=each) for each in (False, True))
    assert favoured.usd - plain.usd == pytest.approx(10 * book.deepgram_keyterms_minute_usd())
    assert [item.resource for item in favoured.items] == ["deepgram nova-3", "deepgram key terms"]
