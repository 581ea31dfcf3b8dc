"""Style, script and data that stand inside a page, and the Content Security Policy that knows them by their hashes."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Any

_NOT_IN_HTML = re.compile("[<>&\u2028\u2029\x7f-\x9f]")
"""What ends a script element or a line of a script, and controls that JSON leaves as they are."""


@dataclass(frozen=True)
class InlineFiles:
    """A page's only style and script."""

    style: str
    script: str

    def policy(self, *more: str) -> str:
        """The Content Security Policy of a page that loads nothing. `more`: directives that allow something else."""
        directives = (
            "default-src 'none'",
            f"style-src '{_hash(self.style)}'",
            f"script-src '{_hash(self.script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
        return "; ".join((*directives, *more))


def inline_files(package: str, styles: Sequence[str], scripts: Sequence[str]) -> InlineFiles:
    """The base style and script with a package's own files behind them, in the order given: later ones use earlier
    ones. A script has no global names."""
    base, own = resources.files(__package__), resources.files(package)
    style = "".join([(base / "base.css").read_text("utf-8"), *((own / name).read_text("utf-8") for name in styles)])
    code = "".join([(base / "base.js").read_text("utf-8"), *((own / name).read_text("utf-8") for name in scripts)])
    return InlineFiles(style, f'"use strict";\n(() => {{\n{code}}})();\n')


def json_in_script(data: Any) -> str:
    """JSON that may stand in a `<script type="application/json">`, whatever its texts are."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_IN_HTML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _hash(text: str) -> str:
    """As a Content Security Policy names an inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
