"""Decode one file: `python -m gpu_job.audio.decoder REQUEST`. Records go to standard output (`records.py`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gpu_job.audio.decoder.placing import CannotDecode
from gpu_job.audio.decoder.reading import decode
from gpu_job.audio.decoder.records import DecodingRequest, RecordWriter, Refusal
from gpu_job.audio.decoder.sandbox import restrict
from gpu_job.fetch.arrival import ArrivalMap


def main(argument: str) -> int:
    """The exit status: 0 where the last record is an account or a refusal."""
    writer = RecordWriter(sys.stdout.buffer)
    try:
        request = DecodingRequest.from_json(argument)
        # Opened here, for it is written to: no other file may be.
        arrival = ArrivalMap(Path(request.arrival)) if request.arrival is not None else None
        restrict(request.path)
        decode(request, writer, arrival)
    except CannotDecode as error:
        writer.record(Refusal(error.reason, error.only_windows))
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    # Not by way of the interpreter's own end, which would free gigabytes of a damaged file piece by piece.
    sys.stdout.flush()
    os._exit(status)
