"""Partial responses: the `fields` parameter, which says what of an answer is wanted: `items(name,metadata/usd)`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from infra.emulators.storage.errors import InvalidRequestError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Mask = dict[str, "Mask"]
"""Wanted fields, each with what is wanted of it; empty for all of it."""

_TOKEN = re.compile(r"[^,()/]+|[,()/]")


def mask_of(text: str) -> Mask:
    """A `fields` parameter -> what it asks for; empty for everything."""
    tokens = _TOKEN.findall(text)
    mask = _list(tokens) if tokens else {}
    if tokens:
        raise InvalidRequestError(f"Invalid field selection {text}")
    return mask


def project(value: object, mask: Mask) -> object:
    """What `mask` leaves of an answer; of a list, of each element."""
    if not mask or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [project(one, mask) for one in value]
    return {name: project(value[name], part) for name, part in mask.items() if name in value}


def _list(tokens: list[str]) -> Mask:
    """`a,b/c,d(e,f)`, taken off the front of `tokens`."""
    mask: Mask = {}
    while True:
        _merge(mask, _path(tokens))
        if not tokens or tokens[0] != ",":
            return mask
        tokens.pop(0)


def _path(tokens: list[str]) -> Mask:
    if not tokens or tokens[0] in ",()/":
        raise InvalidRequestError("Invalid field selection")
    name = tokens.pop(0)
    if name == "*":
        raise NotSupportedError("Not supported: wildcards in fields")
    if tokens[:1] == ["/"]:
        tokens.pop(0)
        return {name: _path(tokens)}
    if tokens[:1] == ["("]:
        tokens.pop(0)
        inner = _list(tokens)
        if tokens[:1] != [")"]:
            raise InvalidRequestError("Invalid field selection")
        tokens.pop(0)
        return {name: inner}
    return {name: {}}


def _merge(mask: Mask, more: Mapping[str, Mask]) -> None:
    for name, part in more.items():
        if name in mask and mask[name] and part:
            _merge(mask[name], part)
        else:
            mask[name] = {} if name in mask else part
