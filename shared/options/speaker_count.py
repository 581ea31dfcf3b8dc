"""How many people speak in an upload, as far as its owner knows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_SPEAKERS = 50
"""More are not told apart by their voices."""

SORTFORMER_SPEAKERS = 4
"""Outputs of the published Sortformer models (diar_streaming_sortformer_4spk)."""

SpeakerModelName = Literal["built-in", "sortformer"]
"""What tells speakers apart, as SPEAKER_MODEL has it."""

_Count = Annotated[int, Field(ge=1, le=MOST_SPEAKERS)]


class SpeakerCount(BaseModel):
    """At least and at most so many. Without a number, as many as are heard."""

    model_config = ConfigDict(frozen=True)

    least: _Count = 1
    most: _Count | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.most is not None and self.most < self.least:
            raise ValueError("there cannot be fewer at most than at least")
        return self

    @property
    def is_known(self) -> bool:
        """Whether anything was said about it."""
        return self.least > 1 or self.most is not None

    def __str__(self) -> str:
        """As `parse_speaker_count` takes it."""
        if not self.is_known:
            return "on"
        if self.most is None:
            return f"{self.least}-"
        return str(self.most) if self.least == self.most else f"{self.least}-{self.most}"


def sortformer_hears(count: SpeakerCount) -> bool:
    """Whether no more speak than Sortformer knows; the built-in model hears the others."""
    return count.most is not None and count.most <= SORTFORMER_SPEAKERS


def speakers_need_the_whole(model: SpeakerModelName, count: SpeakerCount | None) -> bool:
    """Whether one execution hears who speaks in all of an upload, though it is in shards: what Sortformer hears depends
    on all that came before. `count`: None: nobody asks."""
    return model == "sortformer" and count is not None and sortformer_hears(count)


def parse_speaker_count(value: str) -> SpeakerCount | None:
    """`on`, `off` (None), `2`, `2-5` or `2-`. Raises ValueError for anything else."""
    if value in {"on", "off"}:
        return SpeakerCount() if value == "on" else None
    least, dash, most = value.partition("-")
    numbers = [one for one in (least, most) if one]
    if not least or not all(_is_count(one) for one in numbers):
        raise ValueError(value)
    return SpeakerCount(least=int(least), most=int(most) if most else None if dash else int(least))


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= len(str(MOST_SPEAKERS))
