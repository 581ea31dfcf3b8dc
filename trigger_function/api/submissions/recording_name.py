"""The name of a recording's object, from what others say it is called: a form, a URL, a header."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from werkzeug.http import parse_options_header

from shared.object_names import name_problem, object_name
from trigger_function.settings.function import FunctionSettings

MAX_NAME_CHARACTERS = 200
"""Of a name that a server or a form gives; its end counts, where the type is."""


def usable_name(settings: FunctionSettings, *given: str | None) -> str | None:
    """The first that can name an object whose upload is transcribed, without folders; None: none of them."""
    return next((name for name in map(_last_part, given) if name and not settings.ignores(name)), None)


def name_of_url(url: str) -> str:
    """The last part of a URL's path, decoded."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return unquote(path, errors="replace").rpartition("/")[2]


def name_of_disposition(header: str | None) -> str | None:
    """The file's name of a Content-Disposition (RFC 6266), in whichever way it is encoded."""
    if not header:
        return None
    _, options = parse_options_header(header)
    return options.get("filename")


def _last_part(text: str | None) -> str:
    name = (text or "").replace("\\", "/").rpartition("/")[2].strip()
    name = "".join(each for each in name if each.isprintable())[-MAX_NAME_CHARACTERS:].strip()
    if name in ("", ".", "..") or name_problem(name) is not None:
        return ""
    return object_name(PurePosixPath(name))
