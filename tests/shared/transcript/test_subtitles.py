from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.transcript.model import Word
from shared.transcript.subtitles import Cue, SubtitleRules, cues

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


def shown(cue: Cue) -> int:
    return cue.end_ms - cue.start_ms


def text_of(result: tuple[Cue, ...]) -> list[str]:
    return [" ".join(cue.lines) for cue in result]


texts = st.text(alphabet="aeiou\u00e9\u4e2d .,?!<>&{}\\N\n-0", min_size=1, max_size=12) | st.text(
    "xy", min_size=43, max_size=200
)


@st.composite
def speech(draw: st.DrawFn) -> list[Word]:
    """Words whose starts never run backwards; ends may reach over the next start, and any duration may be zero."""
    words: list[Word] = []
    clock = 0.0
    times = st.sampled_from([0.0, 0.0001, 0.04, 0.1, 0.35, 0.9]) | st.floats(0, 12)
    for text in draw(st.lists(texts, max_size=40)):
        clock += draw(times)
        speaker = draw(st.sampled_from([None, 0, 0, 0, 1]))
        words.append(Word(text=text, start=clock, end=clock + draw(times), speaker=speaker))
    return words


@unhurried
@given(speech())
def test_cues_hold_the_limits_for_any_speech(words: list[Word]) -> None:
    result = cues(words)
    for cue in result:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= RULES.line_chars and line == line.strip() for line in cue.lines)
        assert RULES.floor_ms <= shown(cue) <= RULES.max_ms
    for before, after in pairwise(result):
        assert before.end_ms <= after.start_ms


@unhurried
@given(speech())
def test_no_letter_is_lost_and_none_changes_its_place_or_speaker(words: list[Word]) -> None:
    def by_letter(texts: list[tuple[str, int | None]]) -> list[tuple[str, int | None]]:
        return [(letter, speaker) for text, speaker in texts for letter in "".join(text.split())]

    given_letters = by_letter([(word.text, word.speaker) for word in words])
    assert by_letter([("".join(cue.lines), cue.speaker) for cue in cues(words)]) == given_letters


@unhurried
@given(speech())
def test_a_cue_is_shorter_than_a_second_only_where_the_next_words_come_within_it(words: list[Word]) -> None:
    result = cues(words)
    for cue, following in pairwise(result):
        assert shown(cue) >= RULES.min_ms or following.start_ms == cue.end_ms
    assert all(shown(cue) >= RULES.min_ms for cue in result[-1:])


@unhurried
@given(speech())
@example(spoken("one two three"))
def test_a_cue_never_starts_before_its_first_word(words: list[Word]) -> None:
    starts = {}
    letters = 0
    for word in words:
        starts[letters] = round(word.start * 1000)
        letters += len("".join(word.text.split()))
    letters = 0
    for cue in cues(words):
        assert cue.start_ms >= starts.get(letters, 0)
        letters += len("".join("".join(cue.lines).split()))


def test_no_words_give_no_cues() -> None:
    assert cues([]) == ()


def test_sentences_that_fill_their_cues_stand_alone() -> None:
    first, second = "The committee met again on Monday.", "It approved the budget at noon."
    assert text_of(cues(spoken(f"{first} {second}", word=0.4))) == [first, second]


def test_a_sentence_too_long_for_a_cue_breaks_at_its_comma() -> None:
    first = "When the members of the committee came together on Monday,"
    second = "they found that most of the budget had been spent long before."
    assert text_of(cues(spoken(f"{first} {second}"))) == [first, second]


def test_a_sentence_without_punctuation_breaks_at_its_pause() -> None:
    first = spoken("on monday morning the members")
    second = spoken(
        "found that most of the budget for the coming year had been spent before", start=first[-1].end + 0.4
    )
    assert [cue.start_ms for cue in cues(first + second)] == [0, round(second[0].start * 1000)]


def test_a_sentence_without_punctuation_or_pauses_breaks_near_its_middle() -> None:
    words = spoken(
        "the members of the committee who met again on monday found that most of the budget had been spent already",
        word=0.4,
    )
    first, second = text_of(cues(words))
    assert abs(len(first) - len(second)) < 12


def test_a_long_pause_ends_a_cue_in_mid_sentence() -> None:
    result = cues(spoken("well I") + spoken("do not know.", start=4.0))
    assert text_of(result) == ["well I", "do not know."]
    assert [cue.start_ms for cue in result] == [0, 4000]


def test_speakers_do_not_share_a_cue() -> None:
    result = cues(spoken("Are you there?", speaker=0) + spoken("I am.", start=1.2, speaker=1))
    assert [(cue.speaker, cue.lines) for cue in result] == [(0, ("Are you there?",)), (1, ("I am.",))]


def test_short_neighbours_merge_instead_of_flashing_by() -> None:
    result = cues(spoken("Yes. No. Maybe. Not now.", word=0.25))
    assert text_of(result) == ["Yes. No. Maybe. Not now."]


def test_a_sentence_breaks_in_its_middle_rather_than_let_a_short_neighbour_flash_by() -> None:
    long = "Nearly all members of the committee came together once again on a Monday morning."
    result = cues(spoken(f"{long} No. {long}"))
    assert all(shown(cue) >= RULES.min_ms for cue in result)


def test_a_hurried_sentence_shares_the_time_of_a_slow_neighbour() -> None:
    hurried = spoken("The committee met again on Monday at noon.", word=0.125)
    slow = spoken("It did not approve of the budget.", start=hurried[-1].end, word=0.5)
    assert len(cues(hurried + slow)) == 1


def test_a_short_cue_stays_for_a_second_into_the_silence() -> None:
    (cue,) = cues(spoken("Yes.", word=0.2))
    assert (cue.start_ms, cue.end_ms) == (0, 1000)


def test_fast_speech_stays_readable_into_the_silence_that_follows() -> None:
    text = "Nobody could possibly have read this line in one second."
    (cue,) = cues(spoken(text, word=0.1))
    assert len(text) / (shown(cue) / 1000) == pytest.approx(RULES.chars_per_second, rel=0.05)


def test_the_time_to_read_never_comes_from_the_next_cue() -> None:
    fast = spoken("Nobody could possibly have read this line in one second.", word=0.1)
    first, second = cues(fast + spoken("Next.", start=2.0))
    assert first.end_ms <= second.start_ms == 2000


def test_speakers_in_quick_turns_push_the_next_cue_rather_than_flash() -> None:
    words = [Word(text="Yes.", start=0.1 * turn, end=0.1 * turn + 0.1, speaker=turn % 2) for turn in range(4)]
    assert [shown(cue) for cue in cues(words)] == [500, 500, 500, 1000]


def test_a_word_held_for_a_minute_is_shown_for_seven_seconds() -> None:
    (cue,) = cues([Word(text="Ooooh", start=1, end=61)])
    assert (cue.start_ms, cue.end_ms) == (1000, 8000)


def test_slow_speech_is_cut_before_seven_seconds_are_over() -> None:
    result = cues(spoken("one two three four five six seven eight", word=1.5, pause=0.2))
    assert len(result) > 1
    assert all(shown(cue) <= RULES.max_ms for cue in result)


def test_lines_are_balanced() -> None:
    (cue,) = cues(spoken("this sentence is only a little too long for one"))
    top, bottom = cue.lines
    assert abs(len(top) - len(bottom)) <= 6


def test_a_line_breaks_after_a_comma_near_its_middle() -> None:
    (cue,) = cues(spoken("If it rains on Monday, we shall stay at home again."))
    assert cue.lines == ("If it rains on Monday,", "we shall stay at home again.")


def test_an_endless_word_is_cut_over_lines_and_its_time_shared_out() -> None:
    word = Word(text="a" * 42 + "b" * 42 + "c" * 42, start=0, end=9)
    result = cues([word])
    assert [line for cue in result for line in cue.lines] == ["a" * 42, "b" * 42, "c" * 42]
    assert result[-1].end_ms <= 9000


def test_line_breaks_and_blank_lines_inside_a_word_become_spaces() -> None:
    (cue,) = cues([Word(text="two\n\n\r\nwords\u2028here", start=0, end=1)])
    assert cue.lines == ("two words here",)


def test_the_limits_are_the_ones_of_the_rules() -> None:
    rules = SubtitleRules(line_chars=12, max_ms=2000)
    result = cues(spoken("a narrow little screen shows narrow little lines"), rules)
    assert all(len(line) <= 12 for cue in result for line in cue.lines)
    assert all(shown(cue) <= 2000 for cue in result)
