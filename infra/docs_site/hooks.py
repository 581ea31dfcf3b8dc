"""What mkdocs calls for each page: links that lead out of docs/ are text in the site, which has that folder alone."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?!decisions/)[^)]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text, with such links as the names of the files."""
    depth = page.file.src_uri.count("/")

    def text(link: re.Match[str]) -> str:
        leads_out = link[2].count("../") > depth
        return f"{link[1]} (`{link[2].removeprefix('../' * (depth + 1))}`)" if leads_out else link[0]

    return _OUTSIDE.sub(text, markdown)
