"""Wishes: what the owner of an upload asks for it, as custom metadata of the object."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.failures import Rejected
from shared.vocabulary import Method

METHOD_METADATA = "transcribe-method"
CHANNELS_METADATA = "transcribe-channels"


class Channels(StrEnum):
    """What becomes of an upload's channels."""

    MIX = "mix"
    """They are heard together."""
    SPLIT = "split"
    """Each is heard alone, as one speaker."""


class Wishes(BaseModel):
    """What was asked for one upload. What was not asked is the deployment's to decide."""

    model_config = ConfigDict(frozen=True)

    method: Literal["auto"] | Method | None = None
    channels: Channels = Channels.MIX

    def metadata(self) -> dict[str, str]:
        """The wishes as metadata of an object; empty where there are none."""
        asked = {METHOD_METADATA: str(self.method)} if self.method else {}
        return asked | ({CHANNELS_METADATA: str(self.channels)} if self.channels is not Channels.MIX else {})


def wishes_of(metadata: Mapping[str, str]) -> Wishes:
    """An object's metadata -> its owner's wishes. Raises Rejected for a word that is not known."""
    method, channels = _asked(metadata, METHOD_METADATA), _asked(metadata, CHANNELS_METADATA)
    return Wishes(
        method="auto" if method == "auto" else _word(METHOD_METADATA, method, Method, "auto") if method else None,
        channels=_word(CHANNELS_METADATA, channels, Channels) if channels else Channels.MIX,
    )


def _asked(metadata: Mapping[str, str], key: str) -> str:
    return metadata.get(key, "").strip().lower()


_Words = TypeVar("_Words", bound=StrEnum)


def _word(key: str, value: str, words: type[_Words], *others: str) -> _Words:
    try:
        return words(value)
    except ValueError:
        known = ", ".join([*others, *words])
        raise Rejected(f"The file's {key} is {value!r}; known are {known}.") from None
