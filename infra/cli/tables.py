"""Terminal messages, quotes and bills as a person reads them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.costs.bill import Bill
from shared.enums import Outcome
from shared.formats.tracks import TranscriptTrack
from shared.messages import Decision, TerminalMessage
from shared.progress.describe import rough_duration, speed_text
from shared.transcript.timestamps import clock

_STYLE = {
    Outcome.COMPLETED: "green",
    Outcome.COMPLETED_WITH_GAPS: "yellow",
    Outcome.FAILED: "red",
    Outcome.REJECTED: "red",
}


def printable(text: str) -> str:
    """Text from outside, one line: what controls a terminal or turns its writing direction is escaped, as are line
    breaks and bytes that are not UTF-8. Names, reasons and transcripts reach the terminal through this only."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def output_console() -> Console:
    """Standard output: as wide as its terminal, and without one so wide that no row of a table breaks."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNBROKEN_COLUMNS
    return console


_UNBROKEN_COLUMNS = 2000


def print_line(console: Console, text: str) -> None:
    """Print text from outside as one line, unbroken."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def plain_table(*titles: str, right: Collection[str] = ()) -> Table:
    """Without lines; columns of numbers (`right`) end at the same place, and long words break."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    return table


def outcome_table(messages: Sequence[TerminalMessage], seconds: float | None = None) -> Table:
    """One row a file: outcome, length, words, engine, speed, cost, and saving against Deepgram's price.

    `seconds`: the wall time of all, for a last row with the totals of several files.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", footer_style="bold")
    table.show_footer = has_totals = seconds is not None and len(messages) > 1
    totals = _totals(messages, seconds or 0.0) if has_totals else [""] * len(_COLUMNS)
    for (title, is_number), total in zip(_COLUMNS, totals, strict=True):
        justify: Literal["left", "right"] = "right" if is_number else "left"
        if title == "file":
            table.add_column(title, total, overflow="fold", min_width=_NAME_COLUMNS)
        else:
            table.add_column(title, total, justify=justify, no_wrap=title not in _WRAPPED)
    for message in messages:
        audio_seconds = message.media.duration_seconds if message.media else 0.0
        table.add_row(
            Text(printable(message.upload.name)),
            _outcome(message),
            short_clock(audio_seconds) if message.media else "-",
            f"{message.word_count:,}",
            " + ".join(message.engines) or "-",
            _speed(audio_seconds, message.work_seconds if message.engines else 0.0),
            _dollars(message.bill.usd),
            f"{message.saving.share:.0%}" if message.saving else "-",
        )
    return table


def _in_words(code: str) -> str:
    """`completed_with_gaps`, in words that a narrow column may break between."""
    return code.replace("_", " ")


def _outcome(message: TerminalMessage) -> Text:
    """With what the transcript warns of."""
    text = Text(_in_words(message.outcome), style=_STYLE[message.outcome])
    for warning in message.warnings:
        text.append(f", {_in_words(warning.code)}", style="yellow")
    return text


_NAME_COLUMNS = 14
"""Least of a file's name in a line, however narrow the terminal."""
_SPEED = "x real\ntime"
_WRAPPED = frozenset({"outcome", "engine", _SPEED})
_COLUMNS = (
    ("file", False),
    ("outcome", False),
    ("length", True),
    ("words", True),
    ("engine", False),
    (_SPEED, True),
    ("cost", True),
    ("saving", True),
)
"""Titles, and whether numbers stand under them. The saving is against Deepgram's price of the same audio."""


def _totals(messages: Sequence[TerminalMessage], seconds: float) -> list[str]:
    audio_seconds = sum(message.media.duration_seconds for message in messages if message.media)
    savings = [message.saving for message in messages if message.saving]
    deepgram_usd = sum(saving.deepgram_usd for saving in savings)
    saved_usd = sum(saving.usd for saving in savings)
    return [
        f"{len(messages):,} files",
        f"in {rough_duration(seconds)}",
        short_clock(audio_seconds),
        f"{sum(message.word_count for message in messages):,}",
        "",
        _speed(audio_seconds, seconds),
        _dollars(sum(message.bill.usd for message in messages)),
        f"{saved_usd / deepgram_usd:.0%}" if deepgram_usd else "-",
    ]


def short_clock(seconds: float) -> str:
    """`0:19`, `12:03`, `1:05:00`."""
    return clock(seconds).removeprefix("00:").removeprefix("0")


def _speed(audio_seconds: float, seconds: float) -> str:
    return speed_text(audio_seconds / seconds) if audio_seconds > 0 and seconds > 0 else "-"


def _dollars(usd: float) -> str:
    """To a hundredth of a cent, and less where it is less."""
    return f"${usd:.4f}" if usd >= 0.001 or usd == 0 else f"${usd:.5f}"


def quote_table(decisions: Sequence[tuple[str, Decision]]) -> Table:
    """Every method's quote for each file, the decided one marked, with the limits that each would pass."""
    table = plain_table("file", "", "quote", "cost", "time", "limits", right=("cost", "time"))
    for name, decision in decisions:
        for row, quote in enumerate(decision.quotes):
            table.add_row(
                Text("" if row else printable(name)),
                ">" if decision.takes(quote) else "",
                quote.label,
                f"${quote.bill.usd:.5f}",
                f"{quote.completion_seconds:.1f} s",
                Text(printable("; ".join((*(refusal.why for refusal in quote.refusals), *quote.remarks)))),
            )
    return table


def tracks_line(tracks: Sequence[TranscriptTrack]) -> str | None:
    """Which of a file's audio tracks is transcribed; None where it has only one."""
    if len(tracks) < 2:
        return None
    transcribed = ", ".join(track.label for track in tracks if track.is_heard)
    others = ", ".join(track.label for track in tracks if not track.is_heard)
    return f"audio track {transcribed}" + (f"; the file also has {others}" if others else "")


def bill_table(bill: Bill) -> Table:
    """The lines of a bill."""
    table = plain_table("resource", "quantity", "unit", "cost", right=("quantity", "cost"))
    for item in bill.items:
        table.add_row(Text(printable(item.resource)), f"{item.quantity:.3f}", printable(item.unit), f"${item.usd:.5f}")
    return table
