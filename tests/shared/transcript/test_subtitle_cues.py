"""Subtitles: each word in exactly one cue, within half a second of when it is said, on lines that fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.enums import Engine
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.compose import compose
from shared.transcript.display import visible, width
from shared.transcript.model import Passage, Transcript, Word
from shared.transcript.subtitles import breaking
from shared.transcript.subtitles.cues import EARLY_MS, FLOOR_MS, LATE_MS, LINGER_MS, Cue, Turn, cues

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

RULES = SubtitleRules()


def spoken(
    text: str, *, start: float = 0.0, word: float = 0.3, pause: float = 0.0, speaker: int | None = None
) -> list[Word]:
    """Words of equal length, each followed by the same pause. Times in seconds."""
    step = word + pause
    return [
        Word(text=part, start=start + index * step, end=start + index * step + word, speaker=speaker)
        for index, part in enumerate(text.split())
    ]


def heard(words: list[Word], language: str = "en") -> Transcript:
    """The transcript of words in any order."""
    return compose(
        job_id="job",
        source="file:///a.wav",
        duration=1e6,
        language=language,
        model="m",
        passages=[Passage(Engine.PARAKEET_CPU, sorted(words, key=lambda word: word.start))],
    )


def shown(cue: Cue) -> int:
    return cue.end_ms - cue.start_ms


def text_of(result: tuple[Cue, ...]) -> list[str]:
    return [" ".join(cue.lines) for cue in result]


def letters(text: str) -> str:
    return "".join(visible(text).split())


def said(cue: Cue, speaker: int | None) -> str:
    """The letters of a speaker in a cue, without the dash of its own."""
    lines = [line for turn in cue.turns if turn.speaker == speaker for line in turn.lines]
    if lines and len(cue.turns) > 1:
        lines[0] = lines[0].removeprefix("- ")
    return letters("".join(lines))


def words_of_cues(transcript: Transcript, result: tuple[Cue, ...]) -> Iterator[tuple[Cue, list[Word]]]:
    """Each cue with the words that have a letter in it."""
    inside: dict[int, list[Word]] = {index: [] for index in range(len(result))}
    for speaker in {word.speaker for word in transcript.words}:
        owners = [index for index, cue in enumerate(result) for _ in said(cue, speaker)]
        at = 0
        for word in (word for word in transcript.words if word.speaker == speaker):
            after = at + len(letters(word.text))
            for index in sorted(set(owners[at:after])):
                inside[index].append(word)
            at = after
        assert at == len(owners)
    for index, cue in enumerate(result):
        yield cue, inside[index]


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
"""One grapheme of four people, which joiners hold together."""

texts = (
    st.text(alphabet="aeiou\u00e9 .,?!<>&{}\\N\n-0", min_size=1, max_size=12)
    | st.text(alphabet="a1.\u4e2d\u3042\u30fc\u3002\u300c\u300d\u0e01\u0e31\u0301\uc548", min_size=1, max_size=12)
    | st.text("xy", min_size=43, max_size=200)
    | st.sampled_from([FAMILY, "\u200b", "\x00", "\x1b[1m"])
)


def is_divisible(text: str) -> bool:
    return len(text) > RULES.columns or len(text.split()) > 1 or not text.isascii()


@st.composite
def speech(draw: st.DrawFn) -> Transcript:
    """Words whose starts never run backwards; ends may reach over the next start, and any duration may be zero."""
    words: list[Word] = []
    clock = 0.0
    times = st.sampled_from([0.0, 0.0001, 0.04, 0.1, 0.35, 0.9]) | st.floats(0, 12)
    for text in draw(st.lists(texts, max_size=40)):
        clock += draw(times)
        speaker = draw(st.sampled_from([None, 0, 0, 0, 1]))
        words.append(Word(text=text, start=clock, end=clock + draw(times), speaker=speaker))
    return heard(words)


conversations = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(1, 12), st.floats(0, 3)), min_size=1, max_size=12
)


@unhurried
@given(speech())
def test_every_word_is_in_exactly_one_cue_at_its_speakers_turn(transcript: Transcript) -> None:
    result = cues(transcript)
    for speaker in {word.speaker for word in transcript.words}:
        given_letters = "".join(letters(word.text) for word in transcript.words if word.speaker == speaker)
        assert "".join(said(cue, speaker) for cue in result) == given_letters


@unhurried
@given(speech())
def test_cues_follow_one_another_and_never_overlap(transcript: Transcript) -> None:
    result = cues(transcript)
    assert all(0 < shown(cue) <= RULES.max_ms for cue in result)
    for before, after in pairwise(result):
        assert before.end_ms <= after.start_ms


@unhurried
@given(speech())
@example(heard(spoken("one two three")))
@example(
    heard([Word(text="x" * 43, start=0, end=end, speaker=speaker) for speaker, end in [(0, 0), (0, 9), (1, 0), (1, 0)]])
)
def test_cue_times_lie_within_half_a_second_of_their_words(transcript: Transcript) -> None:
    for cue, words in words_of_cues(transcript, cues(transcript)):
        # A word that lines may end in is said part by part, from its start to its end.
        latest = max(word.end if is_divisible(word.text) else word.start for word in words)
        assert min(word.start for word in words) * 1000 - EARLY_MS <= cue.start_ms + 1
        assert cue.start_ms <= latest * 1000 + LATE_MS + 1
        assert cue.end_ms <= max(word.end for word in words) * 1000 + LINGER_MS + 1


@unhurried
@given(speech())
def test_no_line_is_wider_and_no_cue_has_more_lines_than_the_rules_say(transcript: Transcript) -> None:
    for rules in (RULES, SubtitleRules(columns=8, lines=3)):
        for cue in cues(transcript, rules):
            assert all(line == line.strip() and letters(line) for line in cue.lines)
            assert all(width(line) <= rules.columns for line in cue.lines)
            assert len(cue.lines) <= max(rules.lines, len(cue.turns))


@unhurried
@given(speech())
def test_a_cue_is_brief_only_where_words_leave_no_room(transcript: Transcript) -> None:
    result = cues(transcript)
    for index, cue in enumerate(result):
        is_pressed = index + 1 < len(result) and result[index + 1].start_ms == cue.end_ms
        # Where more starts at once than a cue can hold, each one before takes a millisecond.
        assert shown(cue) >= FLOOR_MS - index or is_pressed
        follows = index > 0 and result[index - 1].end_ms == cue.start_ms
        assert shown(cue) >= RULES.min_ms or is_pressed or follows or cue.start_ms == 0


@unhurried
@given(conversations)
def test_people_who_talk_at_once_share_a_cue(turns: list[tuple[int, int, float]]) -> None:
    """Ordinary words of 0.3 s, with pauses between a speaker's turns that let others interrupt."""
    clocks, words = [0.0, 0.0], []
    for speaker, count, pause in turns:
        turn = spoken("word " * (count - 1) + "end.", start=clocks[speaker] + pause, speaker=speaker)
        words += turn
        clocks[speaker] = turn[-1].end
    transcript = heard(words)
    result = cues(transcript)
    for cue, inside in words_of_cues(transcript, result):
        assert shown(cue) >= FLOOR_MS
        for word in inside:
            assert cue.start_ms <= round(word.start * 1000) + LATE_MS
            assert cue.end_ms >= round(word.start * 1000)


@unhurried
@given(speech(), st.integers(1, 8))
@example(heard([*spoken("a", word=9.0), *spoken("b c d", start=9.0)]), 1)
def test_cues_are_the_same_however_many_pieces_are_looked_at_together(transcript: Transcript, at_once: int) -> None:
    together = cues(transcript)
    with patch.object(breaking, "PIECES_AT_ONCE", at_once):
        assert cues(transcript) == together


def test_no_words_give_no_cues() -> None:
    assert cues(heard([])) == ()


def test_sentences_that_fill_their_cues_stand_alone() -> None:
    first, second = "The committee met again on Monday.", "It approved the budget at noon."
    assert text_of(cues(heard(spoken(f"{first} {second}", word=0.4)))) == [first, second]


def test_a_sentence_too_long_for_a_cue_breaks_at_its_comma() -> None:
    first = "When the members of the committee came together on Monday,"
    second = "they found that most of the budget had been spent long before."
    assert text_of(cues(heard(spoken(f"{first} {second}")))) == [first, second]


def test_a_sentence_without_punctuation_breaks_at_its_pause() -> None:
    first = spoken("on monday morning the members")
    second = spoken(
        "found that most of the budget for the coming year had been spent before", start=first[-1].end + 0.4
    )
    assert [cue.start_ms for cue in cues(heard(first + second))] == [0, round(second[0].start * 1000)]


def test_a_sentence_without_punctuation_or_pauses_breaks_near_its_middle() -> None:
    words = spoken(
        "the members of the committee who met again on monday found that most of the budget had been spent already",
        word=0.4,
    )
    first, second = text_of(cues(heard(words)))
    assert abs(len(first) - len(second)) < 12


def test_a_long_pause_ends_a_cue_in_mid_sentence() -> None:
    result = cues(heard(spoken("well I") + spoken("do not know.", start=4.0)))
    assert text_of(result) == ["well I", "do not know."]
    assert [cue.start_ms for cue in result] == [0, 4000]


def test_speakers_do_not_share_a_cue() -> None:
    result = cues(heard(spoken("Are you there?", speaker=0) + spoken("I am.", start=1.2, speaker=1)))
    assert [cue.turns for cue in result] == [(Turn(0, ("Are you there?",)),), (Turn(1, ("I am.",)),)]


def test_short_neighbours_merge_instead_of_flashing_by() -> None:
    result = cues(heard(spoken("Yes. No. Maybe. Not now.", word=0.25)))
    assert text_of(result) == ["Yes. No. Maybe. Not now."]


def test_a_sentence_breaks_in_its_middle_rather_than_let_a_short_neighbour_flash_by() -> None:
    long = "Nearly all members of the committee came together once again on a Monday morning."
    result = cues(heard(spoken(f"{long} No. {long}")))
    assert all(shown(cue) >= RULES.min_ms for cue in result)


def test_a_hurried_sentence_shares_the_time_of_a_slow_neighbour() -> None:
    hurried = spoken("The committee met again on Monday at noon.", word=0.125)
    slow = spoken("It did not approve of the budget.", start=hurried[-1].end, word=0.5)
    assert len(cues(heard(hurried + slow))) == 1


def test_a_short_cue_is_shown_for_a_second_most_of_it_after_the_word() -> None:
    (cue,) = cues(heard(spoken("Yes.", start=5, word=0.2)))
    assert (cue.start_ms, cue.end_ms) == (4700, 5700)


def test_a_short_cue_at_the_very_start_ends_half_a_second_after_its_word() -> None:
    (cue,) = cues(heard(spoken("Yes.", word=0.2)))
    assert (cue.start_ms, cue.end_ms) == (0, 700)


def test_a_cue_takes_the_time_to_read_it_from_the_silence_that_follows() -> None:
    (cue,) = cues(heard(spoken("She gave her answer quickly.", word=0.27)))
    assert (cue.start_ms, cue.end_ms) == (0, round(1000 * 28 / RULES.chars_per_second))


def test_a_cue_stays_no_longer_than_half_a_second_after_its_words() -> None:
    fast = spoken("Nobody could possibly have read this line in one second.", word=0.1)
    first, second = cues(heard(fast + spoken("Next.", start=2.5)))
    assert (first.start_ms, first.end_ms) == (0, 1500)
    assert second.start_ms == 2300


def test_the_time_to_read_never_comes_from_the_next_cue() -> None:
    fast = spoken("Nobody could possibly have read this line in one second.", word=0.1)
    first, second = cues(heard(fast + spoken("And this is the next one already.", start=1.2)))
    assert first.end_ms <= second.start_ms == 1200


def test_two_who_talk_at_once_stand_in_one_cue() -> None:
    (cue,) = cues(heard(spoken("Hello", start=5, speaker=0) + spoken("Yes", start=5.1, speaker=1)))
    assert cue.turns == (Turn(0, ("- Hello",)), Turn(1, ("- Yes",)))


def test_an_interjection_stands_beside_what_it_interrupts() -> None:
    long = "Did you hear about the committee that met again on Monday at noon? It did not approve of the budget."
    result = cues(heard(spoken(long, speaker=0) + spoken("Yes. Really?", start=2.2, speaker=1)))
    (both,) = [cue for cue in result if len(cue.turns) == 2]
    assert "- Yes. Really?" in both.lines
    assert both.start_ms <= 2200
    assert [cue.turns[0].speaker for cue in result] == [0] * len(result)


def test_nobody_changes_lines_from_cue_to_cue() -> None:
    long = "word " * 40
    result = cues(heard(spoken(long, start=0.2, speaker=0) + spoken(long, speaker=1)))
    both = [cue for cue in result if len(cue.turns) == 2]
    assert len(both) > 3
    assert {tuple(turn.speaker for turn in cue.turns) for cue in both} == {(1, 0)}


def test_three_who_talk_at_once_have_a_line_each() -> None:
    (cue,) = cues(heard([word for who in range(3) for word in spoken("Here I am!", start=1, speaker=who)]))
    assert cue.lines == ("- Here I am!",) * 3


def test_quick_turns_share_a_cue_rather_than_come_late() -> None:
    words = [Word(text="Yes.", start=0.1 * turn, end=0.1 * turn + 0.1, speaker=turn % 2) for turn in range(4)]
    assert [cue.lines for cue in cues(heard(words))] == [("- Yes. Yes.", "- Yes. Yes.")]


def test_a_word_held_for_a_minute_is_shown_for_seven_seconds() -> None:
    (cue,) = cues(heard([Word(text="Ooooh", start=1, end=61)]))
    assert (cue.start_ms, cue.end_ms) == (1000, 8000)


def test_slow_speech_is_cut_before_seven_seconds_are_over() -> None:
    result = cues(heard(spoken("one two three four five six seven eight", word=1.5, pause=0.2)))
    assert len(result) > 1
    assert all(shown(cue) <= RULES.max_ms for cue in result)


def test_lines_are_balanced() -> None:
    (cue,) = cues(heard(spoken("this sentence is only a little too long for one")))
    top, bottom = cue.lines
    assert abs(len(top) - len(bottom)) <= 6


def test_a_line_breaks_after_a_comma_near_its_middle() -> None:
    (cue,) = cues(heard(spoken("If it rains on Monday, we shall stay at home again.")))
    assert cue.lines == ("If it rains on Monday,", "we shall stay at home again.")


def test_an_endless_word_is_cut_over_lines_and_its_time_shared_out() -> None:
    word = Word(text="a" * 42 + "b" * 42 + "c" * 42, start=0, end=9)
    result = cues(heard([word]))
    assert [line for cue in result for line in cue.lines] == ["a" * 42, "b" * 42, "c" * 42]
    assert result[-1].end_ms <= 9000


def test_line_breaks_and_blank_lines_inside_a_word_become_spaces() -> None:
    (cue,) = cues(heard([Word(text="two\n\n\r\nwords\u2028here", start=0, end=1)]))
    assert cue.lines == ("two words here",)


JAPANESE = (
    "\u4eca\u65e5\u306f\u300c\u826f\u3044\u300d\u5929\u6c17\u3067\u3059\u306d\u3002\u660e\u65e5\u3082\u3001"
    "\u3042\u3041\u30fc\u3063\u3001\u305d\u3046\u3067\u3059\u304b\uff01"
)


@pytest.mark.parametrize("is_tokens", [True, False], ids=["tokens", "one word"])
@pytest.mark.parametrize("columns", [12, 16, 26])
def test_japanese_has_no_spaces_and_no_line_begins_with_closing_punctuation(columns: int, is_tokens: bool) -> None:
    parts = list(JAPANESE) if is_tokens else [JAPANESE]
    word_seconds = 0.2 if is_tokens else 0.2 * len(JAPANESE)
    transcript = heard(spoken(" ".join(parts), word=word_seconds), language="ja")
    result = cues(transcript, SubtitleRules(columns=columns))
    lines = [line for cue in result for line in cue.lines]
    assert "".join(lines) == JAPANESE
    assert all(width(line) <= columns for line in lines)
    assert not [
        line for line in lines if line[0] in "\u3002\u3001\u300d\uff01\u30fc\u3041\u3063" or line[-1] == "\u300c"
    ]


def test_thai_words_are_joined_without_spaces_and_marks_take_no_column() -> None:
    words = ["\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0e04\u0e23\u0e31\u0e1a"] * 4
    (cue,) = cues(heard(spoken(" ".join(words)), language="th"), SubtitleRules(columns=16))
    assert cue.lines == ("".join(words[:4]), "".join(words[4:]))
    assert [width(line) for line in cue.lines] == [14, 14]


def test_the_limits_are_the_ones_of_the_rules() -> None:
    rules = SubtitleRules(columns=12, lines=3, max_ms=2000)
    result = cues(heard(spoken("a narrow little screen shows narrow little lines")), rules)
    assert all(len(line) <= 12 for cue in result for line in cue.lines)
    assert all(shown(cue) <= 2000 for cue in result)
