"""The process that renders: transcripts come on standard input, their files go to standard output, until that ends."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from itertools import chain

from gpu_job.rendering.parts import read_parts, write_parts
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.model import Transcript
from shared.transcript.render import render


def main() -> None:
    """Until the worker ends. What cannot be rendered ends it, too: the worker then finds out why by itself."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be among the answers
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            transcript, rules = read_parts(requests)
            files = render(Transcript.model_validate_json(transcript), SubtitleRules(**json.loads(rules)))
            named = ((file.name.encode(), file.content_type.encode(), file.data) for file in files)
            write_parts(answers, list(chain.from_iterable(named)))


if __name__ == "__main__":
    main()
