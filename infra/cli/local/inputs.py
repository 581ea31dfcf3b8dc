"""What `dropscribe run` and `estimate` were given, as one list: recordings with their names, and what is refused."""

from __future__ import annotations

import glob
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain, count
from pathlib import Path, PurePath, PurePosixPath

from dropscribe.uploads import open_file
from infra.cli.errors import reason_of
from infra.cli.local.folders import scan
from shared.object_names import object_name
from shared.options.side_files import side_file_kind
from trigger_function.inspection.sniff import is_media
from trigger_function.settings.function import FunctionSettings

STANDARD_INPUT = "-"

RECORDING_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".aac", ".ac3", ".act", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi",
        ".avr", ".awb", ".caf", ".dav", ".dff", ".ds2", ".dsf", ".dss", ".dts", ".dv", ".eac3", ".f4v", ".flac",
        ".flv", ".gsm", ".gxf", ".latm", ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mlp", ".mov", ".mp2",
        ".mp3", ".mp4", ".mpc", ".mpeg", ".mpg", ".mts", ".mxf", ".nsv", ".nut", ".nuv", ".oga", ".ogg", ".ogv",
        ".oma", ".opus", ".pva", ".pvf", ".qcp", ".ra", ".rf64", ".rm", ".rmvb", ".sf", ".shn", ".snd", ".sox",
        ".spdif", ".sph", ".spx", ".tak", ".thd", ".ts", ".tta", ".vob", ".voc", ".vqf", ".w64", ".wav", ".wave",
        ".weba", ".webm", ".wma", ".wmv", ".wsd", ".wtv", ".wv", ".xwma",
    }
)  # fmt: skip
"""Of the formats in docs/formats.md. In a folder, a file with one of them is taken even where it is damaged: then its
owner learns of it. Other files are taken where they begin as a recording does."""

SNIFFED_BYTES = 256

_UNFINISHED = FunctionSettings.model_fields["ignore_patterns"].default
"""In a folder, as in a bucket, files that are being downloaded, and side files, are left out."""

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")


@dataclass(frozen=True)
class Recording:
    """A file that is to be transcribed."""

    argument: str
    """How its owner finds it: the argument, or a path below it."""
    path: Path
    name: str
    """Of its object, and of the folder of its results below `--out`."""


@dataclass(frozen=True)
class Refused:
    """What cannot be transcribed, before anything is started."""

    argument: str
    reason: str


@dataclass(frozen=True)
class Skipped:
    """What was left out of one folder."""

    argument: str
    others: int = 0
    """Files that are no recordings."""
    hidden: int = 0

    def __str__(self) -> str:
        others = "1 file that is no recording" if self.others == 1 else f"{self.others:,} files that are no recordings"
        parts = [others] * bool(self.others) + [f"{self.hidden} hidden"] * bool(self.hidden)
        return f"{self.argument}: skipped {' and '.join(parts)}"


@dataclass(frozen=True)
class Inputs:
    """Everything, in the order of the command line."""

    items: tuple[Recording | Refused, ...]
    skipped: tuple[Skipped, ...] = ()
    repeated: int = 0
    """Files that were named more than once: each is transcribed once."""

    @property
    def notes(self) -> Iterator[str]:
        """A line for each folder of which something was left out, and for files that were named twice."""
        yield from map(str, self.skipped)
        if self.repeated:
            yield f"{self.repeated} named more than once, transcribed once"

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What is to be transcribed."""
        return tuple(item for item in self.items if isinstance(item, Recording))


def inputs_of(
    arguments: Sequence[str], out: Path | None, standard_input: Path | None = None, command: str = "run"
) -> Inputs:
    """The files that `arguments` name, with what is refused and skipped.

    An argument is a file; a folder, of which all recordings are taken, however deep; a pattern that the shell left as
    it was (`*`, `?`, `[...]`, `**` for folders of any depth), where no file has this name; or `-`, whose content and
    name are those of `standard_input`. `out`: where results will lie, which are no inputs; None where nothing is
    written: then files are not opened either. `command`: the one that hints name.
    """
    found: list[_Named | Refused] = []
    skipped: list[Skipped] = []
    for argument in arguments:
        if argument == STANDARD_INPUT and standard_input is not None:
            found.append(_Named(STANDARD_INPUT, standard_input, PurePath(standard_input.name)))
        elif (scheme := _URL.match(argument)) is not None:
            found.append(Refused(argument, _hint(scheme[1].lower(), argument, command)))
        else:
            for path in _matches(argument):
                if _is_folder(path):
                    below, left_out = _in_folder(path, out)
                    found += below
                    skipped += [left_out] * bool(left_out.others or left_out.hidden)
                else:
                    found.append(_Named(str(path), path, PurePath(path.name)))
    once = _once(found)
    names = iter(unique_names([item.relative for item in once if isinstance(item, _Named)]))
    items = tuple(_checked(item, next(names), out) if isinstance(item, _Named) else item for item in once)
    return Inputs(items, tuple(skipped), len(found) - len(once))


@dataclass(frozen=True)
class _Named:
    argument: str
    path: Path
    relative: PurePath
    """What its object would be called if no other one were."""


def _matches(argument: str) -> list[Path]:
    """A file, or what a pattern matches: in the order of names, without hidden ones, as a shell does it."""
    path = Path(argument)
    if not os.path.lexists(path) and glob.has_magic(argument):
        matches = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        return [Path(match) for match in sorted(matches)] or [path]
    return [path]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # said where it is opened
        return False


def _in_folder(folder: Path, out: Path | None) -> tuple[list[_Named | Refused], Skipped]:
    found = scan(folder, out)
    above = PurePath(folder.resolve().name)
    refused = {path: Refused(str(path), reason) for path, reason in found.problems.items()}
    items: list[_Named | Refused] = []
    others = 0
    for path in sorted([*found.files, *refused]):
        if path in refused:
            items.append(refused[path])
        elif is_recording(path):
            items.append(_Named(str(path), path, above / path.relative_to(folder)))
        else:
            others += 1
    if not items:
        items.append(Refused(str(folder), "There is no recording in this folder"))
    return items, Skipped(str(folder), others, found.hidden)


def is_recording(path: Path) -> bool:
    """Whether a file of a folder is to be transcribed, by its name or its first bytes."""
    if any(fnmatch(path.name, pattern) for pattern in _UNFINISHED):
        return False
    if path.suffix.lower() in RECORDING_SUFFIXES:
        return True
    try:
        with open_file(path) as file:
            return is_media(file.read(SNIFFED_BYTES))
    except OSError:
        return False


def _once(found: Iterable[_Named | Refused]) -> list[_Named | Refused]:
    """Each file only where it was named first."""
    by_place: dict[str, _Named | Refused] = {}
    for item in found:
        place = item.argument if isinstance(item, Refused) else os.path.normpath(item.path.absolute())
        by_place.setdefault(place, item)
    return list(by_place.values())


def _checked(item: _Named, name: str, out: Path | None) -> Recording | Refused:
    if (kind := side_file_kind(name)) is not None:
        return Refused(item.argument, f"By its name it is no recording ({kind})")
    if out is not None:
        try:
            if (conflict := path_conflict(name, out)) is not None:
                return Refused(item.argument, conflict)
            open_file(item.path).close()
        except OSError as error:
            return Refused(item.argument, reason_of(error))
    return Recording(item.argument, item.path, name)


def path_conflict(name: str, out: Path) -> str | None:
    """Why this file's results cannot be written; None where they can."""
    for place in [out / name, *(out / parent for parent in PurePosixPath(name).parents)][:-1]:
        if place.exists() and not place.is_dir():
            return f"{place} is a file, but has to be the folder of the results"
    return None


def unique_names(wanted: Sequence[PurePath]) -> list[str]:
    """Object names: the ones wanted, or `object_name`'s, numbered where two would be the same folder of results.

    Two names are the same folder where only case or the composition of letters differs: macOS and Windows say so.
    """
    names: list[str] = []
    taken: set[str] = set()
    for path in wanted:
        name = next(name for name in _candidates(path) if _folder_key(name) not in taken)
        names.append(name)
        taken.add(_folder_key(name))
    return names


def _candidates(path: PurePath) -> Iterator[str]:
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return (object_name(each) for each in chain([path], numbered))


def _folder_key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _hint(scheme: str, url: str, command: str) -> str:
    """What to do about an address, which is not followed: a command that fetches it for this one."""
    place = shlex.quote(url)
    name = shlex.quote(PurePosixPath(url.partition("?")[0]).name or "recording")
    match scheme:
        case "http" | "https":
            fetch = f"curl -fsSL {place}"
        case "gs":
            fetch = f"gcloud storage cat {place}"
        case "s3":
            fetch = f"aws s3 cp {place} -"
        case _:
            return "It is an address, not a file on this machine"
    return f"Addresses are not fetched; try: {fetch} | dropscribe {command} - --name {name}"
