"""words.csv and paragraphs.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from shared.transcript.model import Paragraph, Speaker
from shared.transcript.text import speaker_name
from shared.transcript.timestamps import decimal
from shared.transcript.words import WordRow, Words


def to_csv(column: str, timed: Words | Sequence[Paragraph], speakers: Sequence[Speaker] = ()) -> str:
    """CSV by RFC 4180, CRLF line ends included: with them the csv module quotes both CR and LF inside a field.

    Where any speaker is known, the last columns are the speaker's number and name, both empty where nobody is. New
    columns come at the end, so that readers by position go on. `speakers`: their names; without one, "Speaker 0".
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    has_speakers = any(speaker is not None for *_, speaker in _rows(timed))
    names: dict[int | None, str] = {None: ""}
    writer.writerow(("start_time", "end_time", column, *(("speaker", "speaker_name") if has_speakers else ())))
    for text, start, end, _, speaker in _rows(timed):
        cells = decimal(start), decimal(end), spreadsheet_cell(text)
        if speaker is not None and speaker not in names:
            names[speaker] = spreadsheet_cell(speaker_name(speaker, speakers))
        writer.writerow((*cells, speaker, names[speaker]) if has_speakers else cells)  # None is an empty cell
    return file.getvalue()


def _rows(timed: Words | Sequence[Paragraph]) -> Iterable[WordRow]:
    if isinstance(timed, Words):
        return timed.rows()
    return ((one.text, one.start, one.end, None, one.speaker) for one in timed)


# Text from an unknown recording must not run as a formula when somebody opens the file in a spreadsheet. Quoting does
# not prevent that, a leading apostrophe does. Only what a spreadsheet would evaluate gets one: dashes and numbers
# such as -5 or +3.5% stay plain for every other reader, and transcript.json has the exact text of everything.
# What stands before it and is not seen, some programs drop.
FORMULA = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)
HARMLESS_FORMULA = re.compile(r"[+-](\d+([.,:]\d+)*)?[%.,;:!?]*")


def spreadsheet_cell(text: str) -> str:
    """A text that no spreadsheet calculates: with an apostrophe before it, which is shown as none."""
    is_formula = FORMULA.match(text) and not HARMLESS_FORMULA.fullmatch(text)
    return f"'{text}" if is_formula or text.startswith(("\t", "\r")) else text
