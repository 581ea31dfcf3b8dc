"""What an upload's owner says of its language, and which model and service it goes to."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from shared.enums import JobDevice
from shared.errors import Rejected
from shared.languages.choice import LanguageChoice, language_tag, parse_language_choice
from shared.languages.models import LANGUAGE_MODELS, LanguageModels
from shared.languages.table import LanguageTable
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options

V2, V3 = "nvidia/parakeet-tdt-0.6b-v2", "nvidia/parakeet-tdt-0.6b-v3"


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("ger", "de"),
        ("deu", "de"),
        ("pt_br", "pt-BR"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("yue", "yue"),
        *(
            (nonsense, None)
            for nonsense in ("", "xx", "english", "de-", "-de", "i-klingon", "qqq", "d\u0435", "de\n,", "a" * 99)
        ),
    ],
)
def test_a_tag_is_as_bcp_47_has_it_or_none(given: str, tag: str | None) -> None:
    assert language_tag(given) == tag


def test_a_choice_is_a_tag_a_list_or_auto() -> None:
    assert parse_language_choice(" De ").known == "de"
    several = parse_language_choice("de, EN-us,de")
    assert (several.tags, several.codes, several.known, str(several)) == (
        ("de", "en-US"),
        ("de", "en"),
        None,
        "de,en-US",
    )
    assert parse_language_choice("AUTO") == LanguageChoice()
    assert str(LanguageChoice()) == "auto"
    for nonsense in ("", "auto,de", "de,,en", "multi", ",".join(["de"] * 11)):
        with pytest.raises(ValueError):
            parse_language_choice(nonsense)


def test_records_and_requests_have_it_as_text() -> None:
    class Holder(BaseModel):
        language: LanguageChoice

    assert Holder(language=parse_language_choice("de,en")).model_dump_json() == '{"language":"de,en"}'
    assert Holder.model_validate({"language": "PT-br"}).language.known == "pt-BR"
    for wrong in ("xx", 3, {"tags": ["DE"]}):
        with pytest.raises(ValidationError):
            Holder.model_validate({"language": wrong})


def test_metadata_brings_it_there_and_back() -> None:
    options = parse_upload_options({"transcribe-language": "DE-at , en"})
    assert options.metadata() == {"transcribe-language": "de-AT,en"}
    assert parse_upload_options(options.metadata()) == options
    assert UploadOptions.model_validate_json(options.model_dump_json()) == options
    with pytest.raises(
        Rejected, match=r"transcribe-language is 'multi' \('multi' is no language: name .* de,en, or auto"
    ):
        parse_upload_options({"transcribe-language": "Multi"})
    with pytest.raises(Rejected, match=r"transcribe-language is 'klingon' \('klingon' is no language\)"):
        parse_upload_options({"transcribe-language": "klingon"})


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ("en", None),  # the deployment's own
        ("en-GB", None),
        ("de", V3),
        ("uk", V3),
        ("de,en", V3),
        ("auto", V3),
        ("ja", "whisper-base"),
        ("de,ja", "whisper-base"),
    ],
)
def test_each_language_goes_to_its_model(asked: str, model: str | None) -> None:
    assert LanguageTable().model_for(parse_language_choice(asked)) == model


def test_a_deployments_own_model_hears_its_own_language_whatever_the_table_says() -> None:
    german = LanguageTable(own=LanguageChoice(tags=("de",)))
    assert german.model_for(parse_language_choice("de-CH")) is None
    assert german.model_for(parse_language_choice("en")) == V2
    assert german.model_for(None) is None


@pytest.mark.parametrize(
    ("asked", "is_own"),
    [("de", True), ("en,de", True), ("de-AT", True), ("fr", False), ("de,fr", False), ("auto", False)],
)
def test_a_model_that_is_for_several_languages_is_for_each_of_them(asked: str, is_own: bool) -> None:
    both = LanguageTable(own=parse_language_choice("de,en"))
    assert both.is_own(parse_language_choice(asked)) is is_own


@pytest.mark.parametrize(
    ("table", "own", "model"),
    [
        ("tiny-de=de", "en", None),
        ("tiny-de=de;tiny-fr=fr", "en", None),
        ("two=de fr", "en", "two"),
        ("two=de fr", "en,es", None),
        ("tiny-de=de;whisper-base=*", "en", "whisper-base"),
        ("two=de fr;whisper-base=*", "en", "two"),
    ],
)
def test_where_nothing_is_known_the_model_of_most_languages_hears_it_and_of_equals_the_deployments_own(
    table: str, own: str, model: str | None
) -> None:
    deployment = LanguageTable(own=parse_language_choice(own), models=LanguageModels.parse(table))
    auto = parse_language_choice("auto")
    assert deployment.model_for(auto) == model
    # The own model has no obstacle; Whisper and models of other names run on a CPU alone.
    assert (deployment.job_obstacle(auto, JobDevice.GPU) is None) is (model is None)


def test_what_has_no_model_is_refused_by_the_job_and_whisper_by_its_gpu() -> None:
    japanese = parse_language_choice("ja")
    assert LanguageTable().job_obstacle(japanese, JobDevice.CPU) is None
    assert "runs on a CPU only" in str(LanguageTable().job_obstacle(japanese, JobDevice.GPU))
    without = LanguageTable(models=LanguageModels.parse(f"{V3}=de fr"))
    assert without.job_obstacle(japanese, JobDevice.CPU) == "no model of the job has the language ja (LANGUAGE_MODELS)"
    assert without.job_obstacle(parse_language_choice("en"), JobDevice.GPU) is None
    assert without.job_obstacle(None, JobDevice.GPU) is None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("de", None),
        ("pt-BR", None),
        ("is", "Deepgram's model does not speak is"),
        ("auto", None),
        ("de,en", None),
        ("de,fi", None),
        ("de,is", "Deepgram does not detect is"),
    ],
)
def test_deepgram_is_asked_for_what_it_has(asked: str, why: str | None) -> None:
    assert LanguageTable().deepgram_obstacle(parse_language_choice(asked)) == why


@pytest.mark.parametrize("wrong", ["de", "=de", f"{V3}=", f"{V3}=klingon"])
def test_a_table_that_is_none_says_so(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"has to be MODEL=LANGUAGES|is no language"):
        LanguageModels.parse(wrong)


def test_the_table_has_all_languages_of_the_model() -> None:
    assert [len(one.languages) for one in LanguageModels.parse(LANGUAGE_MODELS).models] == [1, 25, 1]
