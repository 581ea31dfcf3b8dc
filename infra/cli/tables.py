"""Terminal messages, quotes and bills as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.costs.bill import Bill
from shared.enums import Outcome
from shared.formats.tracks import TranscriptTrack
from shared.messages import Decision, TerminalMessage
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


def print_line(console: Console, text: str) -> None:
    """Print text from outside as one line, unbroken."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def outcome_table(messages: Sequence[TerminalMessage]) -> Table:
    """One row a file: outcome, duration, words, method, seconds, cost, saving."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("outcome")
    for title in ("length", "words"):
        table.add_column(title, justify="right")
    table.add_column("method")
    for title in ("seconds", "cost", "saving"):
        table.add_column(title, justify="right")
    for message in messages:
        table.add_row(
            Text(printable(message.upload.name)),
            _outcome(message),
            clock(message.media.duration_seconds) if message.media else "-",
            str(message.word_count),
            message.decision.method.value if message.decision else "-",
            f"{message.wait_seconds + message.work_seconds:.1f}",
            f"${message.bill.usd:.5f}",
            f"{message.saving.share:.0%}" if message.saving else "-",
        )
    return table


def _outcome(message: TerminalMessage) -> Text:
    """With what the transcript warns of."""
    text = Text(message.outcome.value, style=_STYLE[message.outcome])
    for warning in message.warnings:
        text.append(f", {warning.code.value}", style="yellow")
    return text


def quote_table(decisions: Sequence[tuple[str, Decision]]) -> Table:
    """Every method's quote for each file, the decided one marked, with the limits that each would pass."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("file", "", "quote"):
        table.add_column(title)
    for title in ("cost", "time"):
        table.add_column(title, justify="right")
    table.add_column("limits", overflow="fold")
    for name, decision in decisions:
        for row, quote in enumerate(decision.quotes):
            table.add_row(
                Text("" if row else printable(name)),
                ">" if quote.method is decision.method else "",
                quote.method,
                f"${quote.bill.usd:.5f}",
                f"{quote.completion_seconds:.1f} s",
                Text(printable("; ".join(refusal.why for refusal in quote.refusals))),
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
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("resource")
    table.add_column("quantity", justify="right")
    table.add_column("unit")
    table.add_column("cost", justify="right")
    for item in bill.items:
        table.add_row(Text(printable(item.resource)), f"{item.quantity:.3f}", printable(item.unit), f"${item.usd:.5f}")
    return table


def bill_line(messages: Sequence[TerminalMessage], seconds: float) -> str:
    """The totals: audio, wall time, cost, and Deepgram's price for the same audio."""
    savings = [message.saving for message in messages if message.saving]
    billed = sum(message.bill.usd for message in messages)
    audio = sum(message.media.duration_seconds for message in messages if message.media)
    deepgram = sum(saving.deepgram_usd for saving in savings)
    return f"{clock(audio)} of audio in {seconds:.1f} s for ${billed:.5f}; Deepgram's price: ${deepgram:.5f}."
