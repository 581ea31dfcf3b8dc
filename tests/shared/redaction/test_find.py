"""What recognizers find, and what they leave."""

from __future__ import annotations

import pytest

from benchmarks.redaction.scoring import LABELLED, lines, score
from shared.redaction.find import find_entities
from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.request import RedactionRequest, parse_kinds, parse_terms

PII = RedactionRequest(kinds=(Redact.PII,))
NUMBERS = RedactionRequest(kinds=(Redact.NUMBERS,))


def redacted(text: str, request: RedactionRequest = PII) -> str:
    words = text.split()
    out: list[str] = []
    done = 0
    for entity in find_entities(words, request):
        out += [*words[done : entity.first], entity.label.token]
        done = entity.last + 1
    return " ".join([*out, *words[done:]])


def custom(*terms: str) -> RedactionRequest:
    return RedactionRequest(kinds=(Redact.CUSTOM,), terms=terms)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("my card is four one one one one one one one one one one one one one one one", "my card is [CARD]"),
        ("Card 4111 1111 1111 1111.", "Card [CARD]"),
        ("or by email john dot smith at example dot com thanks", "or by email [EMAIL] thanks"),
        ("write to j d o e forty two at gmail dot com", "write to [EMAIL]"),
        ("call five five five oh one two three now", "call [PHONE] now"),
        ("double five double two seven triple one two", "[NUMBER]"),
        ("My name is Sarah Connor, C-O-N-N-O-R.", "My name is [NAME]"),
        ("may i speak to missus jones please", "may i speak to missus [NAME] please"),
        ("send it to twelve oak lane apartment four b springfield six two seven oh four", "send it to [ADDRESS]"),
        ("her date of birth is march third nineteen eighty five", "her date of birth is [DATE_OF_BIRTH]"),
        ("my social is one two three forty five sixty seven eighty nine", "my social is [SSN]"),
        ("my code is four double seven nine", "my code is [NUMBER]"),
        ("my code it's four double seven nine", "my code it's [NUMBER]"),
        ("So well, my name's Wendelin Quux.", "So well, my name's [NAME]"),
        ("so my last name's quuxberger", "so my last name's [NAME]"),
        ("her maiden name's Quux and my surname's Foobarov", "her maiden name's [NAME] and my surname's [NAME]"),
        ("my code is 4779, users call me", "my code is [NUMBER] users call me"),
        ("My code is, uh, 4 double 7 9.", "My code is, uh, [NUMBER]"),
        ("four seven seven nine is the code for the door", "[NUMBER] is the code for the door"),
        ("card four one one one yes one one one one okay one one one one mhm yes one one one one", "card [CARD]"),
        ("card four one one one right one one one one got it one one one one go on one one one one", "card [CARD]"),
        ("g b two nine n w b k six oh one six one three three one nine two six eight one nine", "[BANK_ACCOUNT]"),
        ("The IBAN is DE89 3704 0044 0532 0130 00.", "The IBAN is [BANK_ACCOUNT]"),
    ],
)  # fmt: skip
def test_personal_data_is_found_as_it_is_said(said: str, written: str) -> None:
    assert redacted(said) == written


@pytest.mark.parametrize(
    "said",
    [
        "i will call you in twenty minutes about the one million dollar deal",
        "We shipped 1,250 units for $3,499.99 in 2023.",
        "Will you be at the office in May? I hope so.",
        "so at the end of the dot com boom we had twelve engineers",
        "the area code is four one five and the page said error code four oh four",
        "two, yes, three people read the code of four hundred lines",
        "the code is now 400 lines and my code is three hundred commits behind",
        "So what's your name? Thank you. And what is your last name please? Okay, great.",
        "the file name's wrong and the domain name's taken",
        "what's your name and date of birth and what is your name and address",
        "New York and San Francisco are the largest markets.",
        "",
    ],
)
def test_what_is_nobodys_stays(said: str) -> None:
    assert redacted(said) == said


def test_a_name_that_is_known_from_its_introduction_is_found_again() -> None:
    assert (
        redacted("my name is Wendelin Quux. Quux is my family name.") == "my name is [NAME] [NAME] is my family name."
    )


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("forty two or 43 or one hundred and five", "[NUMBER] or [NUMBER] or [NUMBER]"),
        ("one of them said oh no", "one of them said oh no"),
        ("zero or 1 of B52s", "[NUMBER] or [NUMBER] of [NUMBER]"),
        ("a forty-two-year-old with covid-19 is one-sided ⅔", "a [NUMBER] with [NUMBER] is one-sided [NUMBER]"),
    ],
)
def test_all_numbers(said: str, written: str) -> None:
    assert redacted(said, NUMBERS) == written


@pytest.mark.parametrize(
    ("term", "said", "written"),
    [
        ("Project Blue", "the project blue, is late", "the [REDACTED] is late"),
        ("acme*", "Acme's acmesoft and ACME", "[REDACTED] [REDACTED] and [REDACTED]"),
        ("order ####", "order four five double one or order 12345", "[REDACTED] or order 12345"),
        ("a*a*a*a*a*a*a*b", "a" * 90, "a" * 90),
        ("[x]", "x marks the spot", "[REDACTED] marks the spot"),
        ("project blue", "Project-Blue is, project\u2011blue", "[REDACTED] is, [REDACTED]"),
        ("well-known acme*", "a well known acme-soft thing", "a [REDACTED] thing"),
        ("Straße", "STRASSE gasse", "[REDACTED] gasse"),
    ],
)
def test_own_terms(term: str, said: str, written: str) -> None:
    assert redacted(said, custom(term)) == written


def test_terms_and_kinds_are_read_and_bad_ones_are_not_quoted() -> None:
    assert parse_kinds(" Numbers,pii ") == (Redact.PII, Redact.NUMBERS)
    assert parse_kinds("off") == parse_kinds("") == ()
    assert parse_terms(" a  b, c\nc ") == ("a b", "c")
    for wrong in ("*", "*'s", "secret, **", "x" * 101, ",".join(f"w{number}" for number in range(201))):
        with pytest.raises(ValueError) as raised:
            parse_terms(wrong)
        assert "secret" not in str(raised.value)
    with pytest.raises(ValueError):
        parse_kinds("everything")


def test_a_deployments_redaction_is_added_to() -> None:
    from shared.options.model import UploadOptions

    deployment = RedactionRequest(kinds=(Redact.PII,), terms=(), audio=AudioMasking.BEEP)
    own = UploadOptions(redact_terms=("acme",)).with_redaction_of(deployment).redaction
    assert own == RedactionRequest(kinds=(Redact.PII, Redact.CUSTOM), terms=("acme",), audio=AudioMasking.BEEP)
    assert UploadOptions().with_redaction_of(RedactionRequest()) == UploadOptions()


def test_the_labelled_set_is_found_as_well_as_the_page_says() -> None:
    labelled = list(lines(LABELLED.read_text()))
    spoken = score([one for one in labelled if not one.is_written])
    written = score([one for one in labelled if one.is_written])
    assert spoken.recall >= 0.95
    assert spoken.precision >= 0.97
    assert written.recall >= 0.95
    assert written.precision >= 0.97
