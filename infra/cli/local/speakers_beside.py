"""Names of speakers that stand beside a recording of this machine, as the function reads them in the bucket."""

from __future__ import annotations

import errno
from pathlib import Path

from dropscribe.uploads import open_file
from shared.errors import Rejected
from shared.options.model import UploadOptions
from shared.options.speaker_names import MAX_FILE_BYTES, parse_speakers_file, speakers_files_of


def with_speakers_beside(options: UploadOptions, recording: Path) -> UploadOptions:
    """The options with these names, where they ask who speaks and give none. Raises Rejected where the file has no
    names, or cannot be read."""
    if not options.tells_speakers_apart or options.speaker_names:
        return options
    for name in speakers_files_of(recording.name):
        try:
            with open_file(recording.with_name(name)) as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            # A long name leaves none for a file beside it.
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                continue
            raise Rejected(f"The speakers' names in {name[:200]!r} cannot be read: {error.strerror}.") from None
        return options.model_copy(update={"speaker_names": parse_speakers_file(name, content)})
    return options
