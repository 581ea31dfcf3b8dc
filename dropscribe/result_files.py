"""The files of a job's results, copied to this machine."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from google.cloud.storage import Client

from shared.messages import TerminalMessage
from shared.object_names import folder_name
from shared.objects import bucket_and_name


def results_folder(root: Path, message: TerminalMessage) -> Path:
    """A folder under `root` named like the upload, whose name may not lead out of `root`: uploaders choose it."""
    parts = PurePosixPath(message.upload.name).parts
    return root.joinpath(*(folder_name(part) for part in parts if part not in ("/", "//", "..")))


def fetch_results(client: Client, message: TerminalMessage, folder: Path) -> list[Path]:
    """Copy a job's results into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, uri in message.results.items():
        bucket, key = bucket_and_name(uri)
        path = folder / PurePosixPath(name).name
        client.bucket(bucket).blob(key).download_to_filename(str(path))
        paths.append(path)
    return paths
