"""Price books of a test's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def book_with_model(path: Path, model: str, *, usd: float) -> Path:
    """The shipped price book with one more of Deepgram's models, at so many dollars a minute; `path`, where it lies."""
    text, line = files("shared.costs").joinpath("prices.toml").read_text(), f'{model} = {{ usd = {usd}, source = "s" }}'
    for table in ("[deepgram_minute]", "[deepgram_minute_opted_out]"):
        assert table in text
        text = text.replace(f"{table}\n", f"{table}\n{line}\n")
    path.write_text(text)
    return path
