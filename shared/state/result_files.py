"""The files of a job in the results bucket: `<prefix><upload's name>/<generation>/transcript.json` and its like; those
of a re-run in a folder `run-2/` beside them.

Each is written once. Whoever comes later, a second worker or a redelivered event, finds the first one's file there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from google.api_core.exceptions import Forbidden, PreconditionFailed
from google.cloud.storage import Bucket

from shared import objects
from shared.enums import ResultFormat
from shared.errors import StateConflict
from shared.media import Upload
from shared.messages import Receipt
from shared.object_names import MAX_OBJECT_NAME_BYTES
from shared.options.metadata_keys import SUBTITLES_METADATA
from shared.options.subtitle_rules import SubtitleRules
from shared.piece_stream import create_once_from
from shared.transcript.model import Transcript
from shared.transcript.render import InPieces, Rendered, one_by_one, render
from shared.unreadable import is_newer, parsed, set_aside

TRANSCRIPT_NAME = "transcript.json"
RECEIPT_NAME = "receipt.json"

LONGEST_FILE_NAME_BYTES = 24
"""Room for the name of any result, behind `run-999/` too, so that all results of a job lie in one folder."""

MAY_NOT_REPLACE = "storage.objects.delete"
"""The permission that Cloud Storage names where a write would replace an object."""

Render: TypeAlias = Callable[[Transcript, SubtitleRules, Collection[ResultFormat]], Iterable[Rendered | InPieces]]
"""Files of a transcript, transcript.json first."""

_THREADS = 7
"""Files but transcript.json, which are stored at once."""

MOST_BYTES_AT_ONCE = 16 * 2**20
"""Of files that are being stored, and so in memory, but for one: those of five hours of speech. Of a longer transcript
the next file is asked for when there is room, and the largest one, deepgram.json, is stored while it is made."""


class ResultFiles:
    """Writes results, and reads the transcript that was stored first."""

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        render: Render = render,
        formats: Collection[ResultFormat] = tuple(ResultFormat),
    ) -> None:
        """`prefix`: the folder for all results; empty for the bucket's top. `formats`: what is stored beside
        transcript.json; each is a call of Cloud Storage for an upload."""
        self._bucket = bucket
        self._render = render
        self._formats = formats
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def store_transcript(
        self, upload: Upload, transcript: Transcript, subtitles: SubtitleRules, run: int = 1
    ) -> tuple[Transcript, dict[str, str]]:
        """Store the deployment's formats. The transcript.json that was stored first stands, and all other files are
        made from it.

        Returns that transcript, and name -> `gs://` address of each file. transcript.json's object says in its metadata
        which rules the subtitles have, in an upload's own words: whoever makes a file later, too, makes the same. A
        damaged transcript.json is set aside, with what was made of it. Raises NewerVersion, and StateConflict where
        another one that is damaged took its place.
        """
        files = iter(self._render(transcript, subtitles, self._formats))
        first = next(files).joined()
        before = self._store_first(upload, first, subtitles, run)
        if before is not None:
            transcript = before
            files = iter(self._render(transcript, subtitles, self._formats))
            next(files)
        addresses = {first.name: self._uri(upload, first.name, run)}
        del first, before

        def store(file: Rendered) -> None:
            objects.create_once(self._bucket, self._path(upload, file.name, run), file.data, file.content_type)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="results") as threads:
            stores: deque[tuple[int, Future[None]]] = deque()
            for file in files:
                addresses[file.name] = self._uri(upload, file.name, run)
                if isinstance(file, InPieces):
                    path = self._path(upload, file.name, run)
                    create_once_from(self._bucket, path, file.pieces, file.content_type)
                    continue
                stores.append((len(file.data), threads.submit(store, file)))
                del file
                while sum(size for size, _ in stores) > MOST_BYTES_AT_ONCE:
                    stores.popleft()[1].result()
            for _, one in stores:
                one.result()
        if transcript.redaction is not None and transcript.redaction.audio is not None:
            name = transcript.redaction.audio.file
            addresses[name] = self._uri(upload, name, run)
        return transcript, addresses

    def _store_first(self, upload: Upload, file: Rendered, subtitles: SubtitleRules, run: int) -> Transcript | None:
        """Store transcript.json; the one that stands, where that is another."""
        path, metadata = self._path(upload, file.name, run), {SUBTITLES_METADATA: str(subtitles.requested)}
        for _ in range(2):
            stored = objects.create_once(self._bucket, path, file.data, file.content_type, metadata)
            if stored.data == file.data:
                return None
            before = parsed(stored.data, Transcript, path)
            if before is not None:
                return before
            # Last, so that a process killed before does the same again.
            for name in (*ResultFormat, TRANSCRIPT_NAME):
                self._set_aside(upload, name, run)
        raise StateConflict(f"{path} was stored again and cannot be read")

    def _set_aside(self, upload: Upload, name: str, run: int) -> None:
        path = self._path(upload, name, run)
        stored = objects.read(self._bucket, path)
        if stored is None:
            return
        folder = self._path(upload, f"unreadable/{name}/", run)
        if len(f"{folder}{stored.generation}".encode()) > MAX_OBJECT_NAME_BYTES:
            folder = self._path(upload, "", run)
        set_aside(self._bucket, path, stored, folder)

    def store_transcript_alone(self, upload: Upload, transcript: Transcript, run: int = 1) -> None:
        """Store transcript.json and no other format, unless there is one; nothing is read."""
        file = next(one_by_one(transcript))
        blob = self._bucket.blob(self._path(upload, file.name, run))
        try:
            with suppress(PreconditionFailed):
                blob.upload_from_string(file.data, content_type=file.content_type, if_generation_match=0)
        except Forbidden as error:
            # To whoever may only create objects, that is what Cloud Storage may say of one that is there.
            if MAY_NOT_REPLACE not in str(error):
                raise

    def store_recording(self, upload: Upload, name: str, path: Path, content_type: str, run: int = 1) -> None:
        """Store a recording beside the transcript, unless there is one. It is read piece by piece."""
        blob = self._bucket.blob(self._path(upload, name, run))
        with suppress(PreconditionFailed):  # another worker's, or ours, whose answer was lost
            blob.upload_from_filename(str(path), content_type=content_type, if_generation_match=0)

    def stored_transcript(self, upload: Upload, run: int = 1) -> Transcript | None:
        """The transcript of the run that was stored first, if any was that can be read. Raises NewerVersion."""
        path = self._path(upload, TRANSCRIPT_NAME, run)
        stored = objects.read(self._bucket, path)
        return None if stored is None else parsed(stored.data, Transcript, path)

    def store_receipt(self, receipt: Receipt) -> None:
        """Store the receipt, unless there is one. One that is damaged is set aside."""
        path = self._path(receipt.upload, RECEIPT_NAME, receipt.run)
        data = receipt.model_dump_json(indent=2).encode()
        stored = objects.create_once(self._bucket, path, data)
        is_ours = stored.data == data or is_newer(stored.data, Receipt)
        if not is_ours and parsed(stored.data, Receipt, path) is None:
            self._set_aside(receipt.upload, RECEIPT_NAME, receipt.run)
            objects.create_once(self._bucket, path, data)

    def stored_receipt(self, upload: Upload, run: int = 1) -> Receipt | None:
        """The receipt of the run, if one was stored that can be read. Raises NewerVersion."""
        path = self._path(upload, RECEIPT_NAME, run)
        stored = objects.read(self._bucket, path)
        return None if stored is None else parsed(stored.data, Receipt, path)

    def set_receipt_aside(self, upload: Upload, run: int = 1) -> None:
        """Move the run's receipt aside: it is of an outcome that is lost."""
        self._set_aside(upload, RECEIPT_NAME, run)

    def receipt_address(self, upload: Upload, run: int = 1) -> dict[str, str]:
        """Name -> `gs://` address of the receipt, which may not be stored yet."""
        return {RECEIPT_NAME: self._uri(upload, RECEIPT_NAME, run)}

    def folder(self, upload: Upload) -> str:
        """Under which all results of the upload lie, of every run; it ends in a slash."""
        folder = f"{self._prefix}{upload.name}/{upload.generation}/"
        if len(folder.encode()) + LONGEST_FILE_NAME_BYTES > MAX_OBJECT_NAME_BYTES:
            return f"{self._prefix}long-names/{upload.job_id}/"
        return folder

    def _path(self, upload: Upload, file: str, run: int) -> str:
        folder = self.folder(upload)
        return f"{folder}{file}" if run == 1 else f"{folder}run-{run}/{file}"

    def _uri(self, upload: Upload, file: str, run: int) -> str:
        return f"gs://{self._bucket.name}/{self._path(upload, file, run)}"
