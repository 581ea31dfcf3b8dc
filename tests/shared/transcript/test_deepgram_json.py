from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from deepgram import DeepgramClient, ListenV1Response

from shared.deepgram import parse_response
from shared.enums import Engine
from shared.media import Upload
from shared.transcript.compose import compose
from shared.transcript.deepgram_json import plain_word, to_deepgram
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word

UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=1)


def spoken(text: str, *, start: float = 0.0, speaker: int | None = None, confidence: float | None = 0.5) -> list[Word]:
    return [
        Word(text=part, start=start + index, end=start + index + 0.5, confidence=confidence, speaker=speaker)
        for index, part in enumerate(text.split())
    ]


def transcript(*passages: Passage, coverage: Coverage | None = None, channels: int = 1) -> Transcript:
    return compose(
        job_id=UPLOAD.job_id,
        source=UPLOAD.uri,
        duration=60.0004,
        language="en",
        model="tiny",
        passages=passages,
        channels=channels,
        coverage=coverage,
    )


def gpu(*words: Word) -> Passage:
    return Passage(Engine.PARAKEET_GPU, words)


def answered(payload: dict[str, Any]) -> ListenV1Response:
    """What a program that uses Deepgram's SDK gets where Deepgram answers with `payload`."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=json.dumps(payload)))
    with httpx.Client(transport=transport) as client:
        sdk = DeepgramClient(api_key="none", httpx_client=client)
        response = sdk.listen.v1.media.transcribe_url(url="https://a.example")
    assert isinstance(response, ListenV1Response)
    return response


@pytest.fixture
def conversation() -> Transcript:
    return transcript(
        gpu(*spoken("Yep. I said, it.", speaker=0), *spoken("Don't!", start=10, speaker=1)),
        Passage(Engine.DEEPGRAM, spoken("Bye.", start=20, speaker=1)),
    )


def test_existing_consumers_find_the_words_where_they_look(conversation: Transcript) -> None:
    words = to_deepgram(conversation)["results"]["channels"][0]["alternatives"][0]["words"]
    assert words[2] == {
        "word": "said",
        "start": 2.0,
        "end": 2.5,
        "confidence": 0.5,
        "punctuated_word": "said,",
        "speaker": 0,
    }
    assert [word["word"] for word in words] == ["yep", "i", "said", "it", "don't", "bye"]


def test_the_sdk_reads_metadata_transcript_and_words(conversation: Transcript) -> None:
    response = answered(to_deepgram(conversation))
    assert (response.metadata.request_id, response.metadata.duration) == (UPLOAD.job_id, 60.0)
    (channel,) = response.results.channels
    (alternative,) = channel.alternatives or []
    assert alternative.transcript == "Yep. I said, it. Don't! Bye."
    assert alternative.confidence == pytest.approx(0.5)
    assert [(word.word, word.start, word.speaker) for word in alternative.words or []][3:5] == [
        ("it", 3.0, 0),
        ("don't", 10.0, 1),
    ]


def test_the_sdk_reads_paragraphs_and_their_sentences(conversation: Transcript) -> None:
    (alternative,) = answered(to_deepgram(conversation)).results.channels[0].alternatives or []
    assert alternative.paragraphs is not None
    first, *_, last = alternative.paragraphs.paragraphs or []
    assert [(sentence.text, sentence.start, sentence.end) for sentence in first.sentences or []] == [
        ("Yep.", 0.0, 0.5),
        ("I said, it.", 1.0, 3.5),
    ]
    assert (first.num_words, first.start, first.end, first.speaker) == (4, 0.0, 3.5, 0)
    assert (last.num_words, last.speaker) == (1, 1)


def test_the_sdk_reads_utterances_and_their_words(conversation: Transcript) -> None:
    _, utterance, *_ = answered(to_deepgram(conversation)).results.utterances or []
    assert (utterance.transcript, utterance.start, utterance.end) == ("I said, it.", 1.0, 3.5)
    assert (utterance.channel, utterance.speaker, utterance.confidence) == (0, 0, 0.5)
    assert [word.punctuated_word for word in utterance.words or []] == ["I", "said,", "it."]


def test_our_own_reader_of_deepgram_finds_the_same_words_again(conversation: Transcript) -> None:
    assert tuple(parse_response(answered(to_deepgram(conversation)), "nova-3").passage.words) == conversation.words


def test_channels_transcribed_each_by_itself_are_told_apart_as_deepgram_does() -> None:
    first, second = spoken("Hello, who is there?", speaker=0), spoken("It is me.", start=1.2, speaker=1)
    call = transcript(gpu(*sorted([*first, *second], key=lambda word: word.start)), channels=3)
    payload = to_deepgram(call)
    response = answered(payload)
    recognized = [(channel.alternatives or [])[0] for channel in response.results.channels]
    assert [alternative.transcript for alternative in recognized] == ["Hello, who is there?", "It is me.", ""]
    assert [alternative.paragraphs and alternative.paragraphs.transcript for alternative in recognized] == [
        "\nHello, who is there?",
        "\nIt is me.",
        "",
    ]
    utterances = [(one.channel, one.transcript, len(one.words or [])) for one in response.results.utterances or []]
    assert utterances == [(0, "Hello, who is there?", 4), (1, "It is me.", 3)]
    assert response.metadata.channels == 3
    assert "speaker" not in json.dumps(payload).lower()
    assert tuple(parse_response(response, "nova-3", split=True).passage.words) == call.words


def test_utterances_have_ids_of_their_own_that_do_not_change(conversation: Transcript) -> None:
    ids = [utterance["id"] for utterance in to_deepgram(conversation)["results"]["utterances"]]
    assert len(set(ids)) == len(ids)
    assert ids == [utterance["id"] for utterance in to_deepgram(conversation)["results"]["utterances"]]


def test_paragraph_text_names_a_speaker_where_the_speaker_changes() -> None:
    words = [
        *spoken("One.", speaker=0),
        *spoken("Two.", start=10, speaker=0),
        *spoken("Three.", start=20, speaker=1),
        *spoken("Four.", start=21, speaker=0),
    ]
    alternative = to_deepgram(transcript(gpu(*words)))["results"]["channels"][0]["alternatives"][0]
    expected = "\nSpeaker 0: One.\n\nTwo.\n\nSpeaker 1: Three.\n\nSpeaker 0: Four."
    assert alternative["paragraphs"]["transcript"] == expected


def test_without_speakers_nothing_speaks_of_them() -> None:
    assert "speaker" not in json.dumps(to_deepgram(transcript(gpu(*spoken("One. Two."))))).lower()


def test_model_info_says_which_engine_wrote_how_many_words(conversation: Transcript) -> None:
    metadata = to_deepgram(conversation)["metadata"]
    assert metadata["models"] == ["parakeet-gpu", "deepgram"]
    assert {engine: info["words"] for engine, info in metadata["model_info"].items()} == {
        "parakeet-gpu": 5,
        "deepgram": 1,
    }
    assert {info["name"] for info in metadata["model_info"].values()} == {"parakeet-gpu", "deepgram"}


def test_model_info_names_the_model_where_one_engine_wrote_everything() -> None:
    metadata = to_deepgram(transcript(gpu(*spoken("One."))))["metadata"]
    assert metadata["model_info"] == {"parakeet-gpu": {"name": "tiny", "arch": "parakeet-gpu", "words": 1}}


def test_an_incomplete_transcript_says_so() -> None:
    coverage = Coverage(speech_seconds=10, covered_seconds=4, gaps=(Gap(start=1, end=7, reason="lost"),))
    metadata = to_deepgram(transcript(gpu(*spoken("One.")), coverage=coverage))["metadata"]
    assert metadata["coverage"]["gaps"] == [{"start": 1.0, "end": 7.0, "reason": "lost"}]


def test_what_is_not_known_is_not_made_up() -> None:
    payload = to_deepgram(transcript(gpu(*spoken("One. Two.", confidence=None))))
    assert payload["metadata"].keys().isdisjoint({"created", "sha256", "transaction_key"})
    alternative = payload["results"]["channels"][0]["alternatives"][0]
    assert alternative["confidence"] is None
    assert [word["confidence"] for word in alternative["words"]] == [None, None]


def test_confidence_is_the_mean_of_the_words_that_have_one() -> None:
    words = [
        *spoken("One", confidence=0.4),
        *spoken("two", start=1, confidence=0.8),
        *spoken("three.", start=2, confidence=None),
    ]
    payload = to_deepgram(transcript(gpu(*words)))
    assert payload["results"]["channels"][0]["alternatives"][0]["confidence"] == pytest.approx(0.6)
    assert payload["results"]["utterances"][0]["confidence"] == pytest.approx(0.6)


def test_an_empty_transcript_is_an_answer_without_words() -> None:
    response = answered(to_deepgram(transcript()))
    (alternative,) = response.results.channels[0].alternatives or []
    assert alternative.paragraphs is not None
    assert (alternative.transcript, alternative.words, alternative.paragraphs.transcript) == ("", [], "")
    assert response.results.utterances == []


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Hello,", "hello"),
        ("\u201cYes!\u201d", "yes"),
        ("it's", "it's"),
        ("well-known.", "well-known"),
        ("$5.50", "$5.50"),
        ("\u00c9t\u00e9?", "\u00e9t\u00e9"),
        ("\u0939\u093f\u0902\u0926\u0940", "\u0939\u093f\u0902\u0926\u0940"),
        ("\u2014", "\u2014"),
    ],
)
def test_plain_words_lose_capitals_and_outer_punctuation(written: str, plain: str) -> None:
    assert plain_word(written) == plain
