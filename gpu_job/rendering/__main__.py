"""The process that renders: transcripts come on standard input, their files go to standard output, until that ends."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from gpu_job.rendering.answer import write_file
from gpu_job.rendering.parts import read_parts, write_parts
from gpu_job.rendering.request import read_transcript
from shared.enums import ResultFormat
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.render import in_pieces


def main() -> None:
    """Until the worker ends. What cannot be rendered ends it, too: the worker then finds out why by itself."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be among the answers
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            asked = json.loads(read_parts(requests)[0])
            rules, formats = SubtitleRules(**asked["rules"]), [ResultFormat(name) for name in asked["formats"]]
            # Neither the request nor a file that was sent is kept.
            transcript = read_transcript(requests)
            for file in in_pieces(transcript, rules, formats):
                write_file(answers, file)
                del file
            write_parts(answers, [])
            del transcript


if __name__ == "__main__":
    main()
