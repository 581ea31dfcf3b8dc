"""`dropscribe voices list`, `add`, `rename`, `delete` and `export`."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from google.cloud.storage import Bucket
from rich.text import Text

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.exit_codes import ExitCode
from infra.cli.jobs.explain import job_id_of
from infra.cli.tables import output_console, plain_table, print_line, printable
from shared.options.speaker_names import speaker_names
from shared.voices.model import KeptVoice, VoiceFolder
from shared.voices.store import add_voice, all_kept_voices, delete_voice, kept_voices, rename_voice

_EMBEDDINGS = {"samples": {"__all__": {"embedding"}}}
"""What no command prints but `export`."""


@errors_in_one_line
def print_voices(state_bucket: str, *, as_json: bool) -> int:
    """The exit status."""
    folders = _sorted(_state(state_bucket))
    if as_json:
        shown = [{"folder": one.folder, **_described(voice)} for one in folders for voice in one.voices]
        sys.stdout.write(json.dumps({"voices": shown}) + "\n")
        return ExitCode.COMPLETED
    console = output_console()
    if not folders:
        console.print("No voices are kept.")
        return ExitCode.COMPLETED
    table = plain_table("folder", "name", "speech", "heard in")
    for one in folders:
        for voice in one.voices:
            places = ", ".join(f"{sample.job_id} speaker {sample.speaker}" for sample in voice.samples)
            name, folder = Text(printable(voice.name)), Text(printable(one.folder or "-"))
            table.add_row(folder, name, f"{voice.seconds:.0f} s", Text(printable(places)))
    console.print(table)
    return ExitCode.COMPLETED


@errors_in_one_line
def add_one(state_bucket: str, job: str, speaker: int, name: str, folder: str | None, *, as_json: bool) -> int:
    """The exit status."""
    checked = _name(name)
    state = _state(state_bucket)
    job_id = job_id_of(storage_client(), job)
    return _print_one(add_voice(state, job_id, speaker, checked, _folder(folder)), checked, "kept", as_json=as_json)


@errors_in_one_line
def rename_one(state_bucket: str, folder: str, name: str, new_name: str, *, as_json: bool) -> int:
    """The exit status."""
    checked = _name(new_name)
    after = rename_voice(_state(state_bucket), folder, name, checked)
    return _print_one(after, checked, "renamed", as_json=as_json)


@errors_in_one_line
def delete_one(state_bucket: str, folder: str, name: str, *, yes: bool, as_json: bool) -> int:
    """The exit status."""
    state = _state(state_bucket)
    if kept_voices(state, folder).voice(name) is not None and not yes:
        typer.confirm(f"Delete the voice of {printable(name)} for good?", abort=True)
    delete_voice(state, folder, name)
    if as_json:
        sys.stdout.write(json.dumps({"folder": folder, "name": name, "deleted": True}) + "\n")
    else:
        print_line(output_console(), f"{name}: deleted. Transcripts that are there keep the name.")
    return ExitCode.COMPLETED


@errors_in_one_line
def export_voices(state_bucket: str, folder: str | None, name: str | None) -> int:
    """The exit status."""
    found = [one for one in _sorted(_state(state_bucket)) if folder is None or one.folder == folder]
    kept = [
        {"folder": one.folder, **voice.model_dump(mode="json")}
        for one in found
        for voice in one.voices
        if name is None or voice.name == name
    ]
    if name is not None and not kept:
        raise CommandError(f"There is no voice {name!r}.")
    sys.stdout.write(json.dumps({"voices": kept}) + "\n")
    return ExitCode.COMPLETED


def _state(bucket: str) -> Bucket:
    return bucket_named(storage_client(), bucket)


def _sorted(state: Bucket) -> list[VoiceFolder]:
    return sorted(all_kept_voices(state), key=lambda one: one.folder)


def _name(name: str) -> str:
    try:
        (checked,) = speaker_names([name])
    except ValueError:
        raise typer.BadParameter("a name has up to 80 printable characters, and no comma") from None
    return checked


def _folder(folder: str | None) -> str | None:
    if folder is not None and ("/" in folder or not folder.isprintable()):
        raise typer.BadParameter("--folder takes the first folder of names in the uploads bucket, without /")
    return folder


def _described(voice: KeptVoice) -> dict[str, Any]:
    return voice.model_dump(mode="json", exclude=_EMBEDDINGS)


def _print_one(folder: VoiceFolder, name: str, what: str, *, as_json: bool) -> int:
    voice = folder.voice(name)
    if voice is None:
        raise CommandError(f"{name} was deleted meanwhile.")
    if as_json:
        sys.stdout.write(json.dumps({"folder": folder.folder, **_described(voice)}) + "\n")
    else:
        place = f"folder {folder.folder}" if folder.folder else "uploads without a folder"
        recordings = f"{len(voice.samples)} recording" + ("s" if len(voice.samples) > 1 else "")
        print_line(output_console(), f"{name}: {what}, {voice.seconds:.0f} s of {recordings}, for {place}.")
    return ExitCode.COMPLETED
