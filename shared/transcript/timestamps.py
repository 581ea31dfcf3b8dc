"""How every format writes times: to the millisecond for machines, to the second for readers."""

from __future__ import annotations


def milliseconds(seconds: float) -> int:
    """Seconds -> the nearest whole millisecond."""
    return round(seconds * 1000)


def rounded(seconds: float) -> float:
    """Seconds with at most three decimals: 12.3450001 -> 12.345."""
    return milliseconds(seconds) / 1000


def decimal(seconds: float) -> str:
    """Seconds with exactly three decimals: 12.3 -> `12.300`."""
    return f"{rounded(seconds):.3f}"


def clock(seconds: float) -> str:
    """Rounded down to the second: 723.9 -> `00:12:03`."""
    return _clock(milliseconds(seconds) // 1000)


def clock_range(start: float, end: float) -> str:
    """`00:12:03 to 00:12:09`; the end is rounded up, so that a short stretch does not look empty."""
    return f"{clock(start)} to {_clock(-(-milliseconds(end) // 1000))}"


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"
