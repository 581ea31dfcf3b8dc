"""Times of day in words -> in digits: half past ten, ten twenty a.m., zehn Uhr dreißig, halb elf, las diez y media."""

from __future__ import annotations

from shared.transcript.editing.number_context import NumberContext, WrittenNumber
from shared.transcript.editing.numbers_in_words import CLOCK_TIME, Number

_MEASURED_IN_HALVES = frozenset({"docena", "hora", "kilo", "litro"})
"""Behind `y media` they say that it is no time: `la una y media docena`."""


_PARTS_OF_HOURS = {("et", "demie"): 30, ("et", "demi"): 30, ("et", "quart"): 15}
"""Behind `huit heures`."""

_HALVES_OF_DAYS = (("in", "the", "morning"), ("in", "the", "afternoon"), ("in", "the", "evening"), ("at", "night"))
"""Behind `six fifteen` they say that it is a time."""

_ROUND_MINUTES = frozenset({5, 10, 20, 25})
"""Said without `minutes`."""

_BEFORE_MINUTES_TO = frozenset({"", "at", "by", "until", "till", "before", "after", "since", "it's", "is", "was"})
"""Before `ten minutes to six`, where that is a time: "from ten minutes to six" is none."""
_ABOUT = frozenset({"about", "around", "just", "nearly", "almost", "exactly", "like"})
"""May stand between."""
_COUNTED = frozenset({"of", "people", "person", "men", "women", "children"})
_NO_PLURALS = frozenset({"as", "does", "has", "is", "it's", "its", "perhaps", "that's", "this", "was", "yes"})
_BEHIND_TIMES = frozenset(
    (
        *("", "already", "and", "at", "but", "here", "in", "now", "on", "sharp", "so", "then", "there", "today"),
        *("tomorrow", "tonight", "when", "i", "you", "he", "she", "we", "they"),
    )
)
"""Behind it: "ten minutes to one task" is no time."""


def clock_time(context: NumberContext, at: int) -> WrittenNumber | None:
    """The time of day that begins at a place, as it is written; None where none does."""
    if context.language == "en":
        return _english_time(context, at)
    if context.language == "de" and (part := _german_part(context, at)) is not None:
        return part
    if context.language == "es" and (part := _spanish_part(context, at)) is not None:
        return part
    hour = context.numbers.get(at)
    form = context.rules.hour_word.get(context.key(hour.last + 1)) if hour else None
    minute = context.number(hour.last + 2) if hour and form else None
    if hour is not None and form is not None and hour.is_whole and hour.value <= 24:
        said = (context.key(hour.last + 2), context.key(hour.last + 3))
        if (minutes := _PARTS_OF_HOURS.get(said)) is not None:
            return WrittenNumber(at, hour.last + 3, (form.format(int(hour.value), minutes),))
    if hour is None or form is None or minute is None or not (hour.is_whole and minute.is_whole):
        return None
    if hour.value > 24 or minute.value > 59:
        return None
    text = form.format(int(hour.value), f"{int(minute.value):02}")
    return WrittenNumber(at, minute.last, tuple(text.split(" ")))


def _german_part(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Halb elf`: half an hour before eleven; `Viertel nach drei`, `Viertel vor drei`."""
    said = (context.tokens[at].key, context.key(at + 1))
    before, minutes, words = {
        ("viertel", "nach"): (0, 15, 2),
        ("viertel", "vor"): (1, 45, 2),
    }.get(said, (1, 30, 1) if said[0] == "halb" else (0, 0, 0))
    hour = context.number(at + words) if words else None
    if hour is None or not (hour.is_whole and 1 <= hour.value <= 12 and hour.words == 1):
        return None
    last = hour.last + (context.key(hour.last + 1) == "uhr")
    if words == 2 and context.key(last + 1) and context.tokens[last + 1].core[:1].isupper():
        return None  # "ein Viertel vor drei Jahren"
    return WrittenNumber(at, last, (f"{(int(hour.value) - before) or 12}:{minutes}", "Uhr"))


def _spanish_part(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Las diez y media`, `la una y cuarto`."""
    hour = context.numbers.get(at)
    if hour is None or context.before(at) not in {"la", "las"} or context.key(hour.last + 1) != "y":
        return None
    minutes = {"media": 30, "cuarto": 15}.get(context.key(hour.last + 2))
    if minutes is None or not (hour.is_whole and 1 <= hour.value <= 12):
        return None
    if context.key(hour.last + 3) in _MEASURED_IN_HALVES:
        return None
    return WrittenNumber(at, hour.last + 2, (f"{int(hour.value)}:{minutes}",))


def _english_time(context: NumberContext, at: int) -> WrittenNumber | None:
    key = context.tokens[at].key
    if key == "a" and context.key(at + 1) == "quarter" and (time := _english_time(context, at + 1)) is not None:
        return WrittenNumber(at, time.last, time.texts)
    if key in {"half", "quarter"} and context.key(at + 1) in {"past", "to"} and (hour := context.number(at + 2)):
        if not (hour.is_whole and 1 <= hour.value <= 12) or (key, context.key(at + 1)) == ("half", "to"):
            return None
        if _counts_hour(context, hour):
            return None  # "a quarter to two friends"
        minutes = {"half": 30, "quarter": 15 if context.key(at + 1) == "past" else 45}[key]
        value = int(hour.value) - (minutes == 45)
        return _with_half_day(context, at, hour.last, f"{value or 12}:{minutes:02}")
    number = context.numbers.get(at)
    if number is None:
        return None
    if (beside := _beside_hour(context, number)) is not None:
        return beside
    if (written := CLOCK_TIME.fullmatch(number.text)) is not None:
        return _with_half_day(context, at, number.last, written.group())
    if not (number.is_whole and 1 <= number.value <= 12 and number.words == 1):
        return None
    minute, last = _minutes(context, number.last + 1)
    if minute is None:
        found = _with_half_day(context, at, number.last, number.text)
        return found if len(found.texts) > 1 else None
    found = _with_half_day(context, at, last, f"{number.text}:{minute:02}")
    is_time = len(found.texts) > 1 or context.before(at) in context.rules.time_words
    is_time = is_time or any(
        all(context.key(last + 1 + step) == word for step, word in enumerate(phrase)) for phrase in _HALVES_OF_DAYS
    )
    return found if is_time and not context.is_counted(last + 1) else None


def _beside_hour(context: NumberContext, minute: Number) -> WrittenNumber | None:
    """`Twenty past three`, `ten minutes to six`. "Ten to six" is a range as often."""
    at = minute.last + 1
    has_word = context.key(at) == "minutes"
    link = context.key(at + has_word)
    hour = context.number(at + has_word + 1)
    if hour is None or not (minute.is_whole and hour.is_whole and 1 <= hour.value <= 12 and hour.words == 1):
        return None
    behind = context.key(hour.last + 1)
    if _counts_hour(context, hour) or context.ends(minute.first) is not None:
        return None  # "ten minutes to five hours"
    value = int(minute.value)
    if link == "past" and (value in _ROUND_MINUTES or (has_word and 1 <= value <= 59)):
        return _with_half_day(context, minute.first, hour.last, f"{int(hour.value)}:{value:02}")
    if link == "to" and has_word and 1 <= value <= 59:
        text = f"{(int(hour.value) - 1) or 12}:{60 - value:02}"
        found = _with_half_day(context, minute.first, hour.last, text)
        return found if len(found.texts) > 1 or _is_time_before_hour(context, minute.first, behind) else None
    return None


def _counts_hour(context: NumberContext, hour: Number) -> bool:
    """Whether what stands behind an hour is what is counted."""
    behind = context.key(hour.last + 1)
    if hour.value == 1:
        return (
            behind not in _BEHIND_TIMES | _NO_PLURALS
            and len(_with_half_day(context, hour.first, hour.last, "").texts) == 1
        )
    return behind in _COUNTED or (behind.endswith("s") and behind not in _NO_PLURALS)


def _is_time_before_hour(context: NumberContext, at: int, behind: str) -> bool:
    while context.before(at) in _ABOUT:
        at -= 1
    return context.before(at) in _BEFORE_MINUTES_TO and behind in _BEHIND_TIMES


def _minutes(context: NumberContext, at: int) -> tuple[int | None, int]:
    if context.key(at) in {"oh", "o"} and (digit := context.number(at + 1)) and digit.is_whole and digit.value < 10:
        return int(digit.value), digit.last
    number = context.number(at)
    if number is None or not number.is_whole or not 10 <= number.value <= 59 or len(number.text) != 2:
        return None, at
    return int(number.value), number.last


def _with_half_day(context: NumberContext, at: int, last: int, text: str) -> WrittenNumber:
    """With AM or PM, where that follows: "a.m.", "am", "a m"."""
    plain = context.key(last + 1).replace(".", "")
    # "At ten am I there": without a colon, dots or capitals it is a time where nobody says "I" behind it.
    is_verb = plain == "am" and context.tokens[last + 1].core == "am" and context.key(last + 2) in {"i", "not"}
    if plain in {"am", "pm"} and not is_verb:
        return WrittenNumber(at, last + 1, (text, plain.upper()))
    if plain in {"a", "p"} and context.key(last + 2).replace(".", "") == "m":
        return WrittenNumber(at, last + 2, (text, f"{plain}m".upper()))
    return WrittenNumber(at, last, (text,))
