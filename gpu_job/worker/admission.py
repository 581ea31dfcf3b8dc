"""Admission: whether an upload may begin beside those that run, by the bytes of disk and memory that all of them take.

Files on Cloud Run's own file system are memory: there, files and work share one limit, and who goes past it is killed
with all its neighbours. With a disk, files count against the disk, and work against the memory.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gpu_job.instance import bytes_in, disk_space, memory_bytes
from gpu_job.settings import JobSettings
from shared.errors import Rejected
from shared.media import Media
from shared.settings.field import GIB, MB


@dataclass(frozen=True)
class UploadNeed:
    """What an upload takes at most while it runs, in bytes."""

    file_bytes: int
    """In the folder that uploads are fetched into."""
    work_bytes: int
    """Of memory: its decoders, decoded audio on its way, its results."""


@dataclass(frozen=True)
class InstanceRoom:
    """What an instance has for uploads, in bytes."""

    memory_bytes: int
    """Without what the process takes for itself and the model."""
    disk_bytes: int | None = None
    """Of the disk, were nothing on it; None: files take memory."""
    free_disk_bytes: int = 0
    """Of that, what nobody but this worker's uploads takes now."""


class Admission(Enum):
    """Whether an upload may begin."""

    NOW = "now"
    LATER = "later"
    """Once there is more room, when others of this worker have ended."""
    NO_SPACE = "no space"
    """It would have to run alone, and others than this worker's uploads have filled the disk."""
    NEVER = "never"
    """It is larger than an instance of this shape."""


def admission(need: UploadNeed, running: Sequence[UploadNeed], room: InstanceRoom) -> Admission:
    """Whether an upload may begin beside `running`.

    One that an instance is large enough for is never kept waiting by its own memory: alone, it begins.
    """
    if room.disk_bytes is None:
        if need.file_bytes + need.work_bytes > room.memory_bytes:
            return Admission.NEVER
    elif need.file_bytes > room.disk_bytes:
        return Admission.NEVER
    together = [*running, need]
    work_bytes = sum(one.work_bytes for one in together)
    file_bytes = sum(one.file_bytes for one in together)
    if room.disk_bytes is None:
        fits = work_bytes + file_bytes <= room.memory_bytes
    else:
        fits = (work_bytes <= room.memory_bytes or not running) and file_bytes <= room.free_disk_bytes
    if fits:
        return Admission.NOW
    return Admission.LATER if running else Admission.NO_SPACE


class Admissions:
    """Admission with what this instance has, and the folder that its uploads are fetched into."""

    def __init__(self, settings: JobSettings) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="dropscribe-", dir=settings.scratch_folder)

    @property
    def folder(self) -> Path:
        """Which uploads are fetched into; nothing else is in it."""
        return Path(self._folder.name)

    def close(self) -> None:
        """Delete the folder."""
        self._folder.cleanup()

    def may_begin(self, media: Media, running: Iterable[Media]) -> Admission:
        """Whether an upload may begin beside those that run here."""
        return admission(self._need(media), [self._need(one) for one in running], self.room())

    def check(self, media: Media) -> None:
        """To be called before an upload that runs alone here is fetched.

        Raises Rejected where it is larger than the instance, OSError (ENOSPC) where others have filled the disk.
        """
        match self.may_begin(media, ()):
            case Admission.NEVER:
                raise Rejected(self._why_never(media))
            case Admission.NO_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))

    def room(self) -> InstanceRoom:
        """What the instance has now."""
        settings = self._settings
        memory = int(settings.job_memory_gib * GIB)
        memory = min(memory, memory_bytes() or memory) - int(settings.worker_memory_gib * GIB)
        if settings.job_disk_gib == 0:
            return InstanceRoom(max(0, memory))
        space, own = disk_space(self.folder), bytes_in(self.folder)
        size = space.total_bytes if settings.job_disk_gib is None else int(settings.job_disk_gib * GIB)
        return InstanceRoom(
            max(0, memory),
            disk_bytes=min(size, space.total_bytes),
            free_disk_bytes=min(size, space.free_bytes + own),
        )

    def _why_never(self, media: Media) -> str:
        """For the owner of a file that is larger than the instance."""
        room = self.room()
        has = room.memory_bytes - self._work_bytes if room.disk_bytes is None else room.disk_bytes
        return f"The file has {_gb(media.size_bytes)} and an instance of the job has room for {_gb(max(0, has))} only."

    def _need(self, media: Media) -> UploadNeed:
        return UploadNeed(media.size_bytes, self._work_bytes)

    @property
    def _work_bytes(self) -> int:
        return self._settings.upload_memory_mb * MB


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
