"""words.csv and paragraphs.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from shared.transcript.model import Paragraph, Word
from shared.transcript.timestamps import decimal


def to_csv(column: str, timed: Sequence[Word | Paragraph]) -> str:
    """CSV by RFC 4180, CRLF line ends included: with them the csv module quotes both CR and LF inside a field.

    The last column is the speaker, where any is known.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    has_speakers = any(item.speaker is not None for item in timed)
    writer.writerow(("start_time", "end_time", column, *["speaker"] * has_speakers))
    for item in timed:
        speaker = [item.speaker] * has_speakers  # None is an empty cell
        writer.writerow((decimal(item.start), decimal(item.end), spreadsheet_cell(item.text), *speaker))
    return file.getvalue()


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
