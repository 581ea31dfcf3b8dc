"""What a file of Terraform variables says of a few switches, before Terraform has run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\n]*|//[^\n]*|/\*.*?\*/)', re.DOTALL)
"""A comment; a string is matched first, for it may hold what looks like one."""
_ATTRIBUTE = re.compile(r'(?:"(\w+)"|(\w+))\s*[=:]\s*')
_OPENS, _CLOSES = "{[(", "}])"


@dataclass(frozen=True)
class Variables:
    """The variables of a file; literal switches only are understood, other values are left to Terraform."""

    _values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Variables:
        """A `.tfvars` file, or one of JSON by its name. What is malformed is left to Terraform to say."""
        text = path.read_text()
        if path.suffix == ".json":
            loaded = json.loads(text)
            return cls(loaded if isinstance(loaded, dict) else {})
        return cls(_attributes(_COMMENT.sub(lambda found: "" if found[1] else found[0], text)))

    def flag(self, *path: str) -> bool | None:
        """The switch at `path`, as in `flag("gpu_job", "enabled")`; None where it is not given as true or false."""
        value: Any = self._values
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, bool) else None


def _attributes(text: str) -> dict[str, Any]:
    """`name = value` of a body, those of objects in it included."""
    found: dict[str, Any] = {}
    place = 0
    while (match := _ATTRIBUTE.search(text, place)) is not None:
        end = _end_of_value(text, match.end())
        value = text[match.end() : end].strip().rstrip(",").strip()
        found[match[1] or match[2]] = _value(value)
        place = end
    return found


def _value(text: str) -> Any:
    if text.startswith("{"):
        return _attributes(text[1:-1])
    return {"true": True, "false": False}.get(text, text)


def _end_of_value(text: str, start: int) -> int:
    """Where the value that begins at `start` ends: at a line end or comma outside of brackets and strings."""
    depth, quoted = 0, False
    for place in range(start, len(text)):
        character = text[place]
        if character == '"' and text[place - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif character in _OPENS:
            depth += 1
        elif character in _CLOSES:
            depth -= 1
        elif depth == 0 and character in ",\n":
            return place
    return len(text)
