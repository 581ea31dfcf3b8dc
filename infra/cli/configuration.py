"""`python -m infra.cli.configuration`: prints docs/configuration.md from the settings models."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from gpu_job.settings import JobSettings
from infra.doctor.settings import DoctorSettings
from shared.settings.deepgram import DeepgramSettings
from shared.settings.deployment import DeploymentSettings
from shared.settings.executions import JobShapeSettings
from shared.settings.speeds import SpeedSettings
from trigger_function.api.settings import ApiSettings
from trigger_function.settings.function import FunctionSettings

_HEAD = """# Configuration

Every setting is an environment variable. This page is written from the settings models by
`python -m infra.cli.configuration > docs/configuration.md`; a test holds it to them. A value that cannot be used ends
the process with one line that names the setting, what is allowed, and the value; `dropscribe run` and `up` say it
before anything is started.
"""
_TAIL = """
## On the upload itself

| custom metadata | meaning |
|---|---|
| `transcribe-method` | `auto`, `parakeet`, `hybrid` or `deepgram`, for this file only |
| `transcribe-channels` | `mix` (default): all channels together; `split`: each alone, as one speaker |
| `transcribe-track` | audio track: its number, from 1; a language, `de`, `ger` and `deu` alike; or `all`, mixed. \
By default the track that the file marks as its default, else the first |
| `transcribe-language` | in which language people speak: a BCP 47 tag such as `de` or `pt-BR`; several of which some \
are spoken, `de,en`; `auto`: it is to be found. By default `LANGUAGE` |
| `transcribe-speakers` | who speaks is told, word by word: `on`, or how many people speak, `2`, `2-5`, `2-`. \
By default `off`; split channels are speakers by themselves |
| `transcribe-speaker-names` | their names, with commas between them, in the order in which they are first heard. \
By default those of `speakers.json` beside the upload ([options](options.md#names-of-speakers)) |
| `transcribe-voices` | `off`: no speaker is compared with [kept voices](options.md#kept-voices). By default \
with those of the upload's first folder, where `KEPT_VOICES` is on; a rule may name another folder |
| `transcribe-numbers` | `written`: numbers, dates, times, sums and percentages in digits; `spoken`: in words. \
By default as the engine writes them |
| `transcribe-fillers` | `drop`: "uh" and "um" are left out; `keep`: they are written where the engine hears them |
| `transcribe-profanity` | `mask`: of swear words the first letter is left; `keep` (default) |
| `transcribe-keyterms` | names and words to favour, as they are to be written: `Parakeet:2; Cloud Run`; up to 200 of \
up to 100 characters, with a weight of 0.1 to 5 behind a colon where it is not 1 ([options](options.md#key-terms)) |
| `transcribe-keyterms-file` | an object of the upload's bucket, `keyterms.txt` or `NAME.keyterms.txt`, whose terms \
come on top: UTF-8, one a line, up to 64 KiB; lines that begin with `#` are remarks |
| `transcribe-second-opinion` | dollars (up to 1,000), at most, for what another engine hears of words of \
which the first was not sure |
| `transcribe-min-coverage` | share of what is said that has to have words, `0.98` or `98%`; below it another engine \
is asked, once ([results](results.md#least-coverage)) |
| `transcribe-subtitles` | subtitles of this file: some of `line=37,lines=2,min=1,max=6,cps=17`: columns of a line (a \
full-width character takes two), lines, shortest and longest time on screen in seconds, characters read in a second. \
What is left out is as the settings say |
| `transcribe-redact` | what is left out of all results, besides what `REDACT` has: some of `pii`, `numbers`, `custom` \
with commas between them ([redaction](redaction.md)) |
| `transcribe-redact-terms` | phrases and patterns to leave out, with commas between them: `project blue, acme*, order \
####` |
| `transcribe-redact-audio` | what is heard in their place in `redacted.ogg`: `mute`, `beep`; `off`: no such file |
| `transcribe-privacy` | `any` (default); `local`: the audio is never sent to an API, whatever fails |
| `transcribe-deadline-minutes` | minutes until the transcript, instead of `MAX_COMPLETION_MINUTES` |
| `transcribe-max-cost` | dollars; a method that would cost more is not used |
| `transcribe-video-id` | what your own system calls the recording: up to 128 letters, digits and `._~-`; the API says \
it with the job |
| `transcribe-webhook` | URL to which the outcome is posted, besides `WEBHOOK_URLS`; its origin has to be one of \
`WEBHOOK_ALLOWED_ORIGINS` ([webhooks](webhooks.md)) |
| `transcribe-webhook-body` | `outcome`; `deepgram`: the transcript, as Deepgram posts it to a callback |
"""


def page() -> str:
    """The whole page."""
    deepgram = set(DeepgramSettings.model_fields)
    shape, speeds = set(JobShapeSettings.model_fields), set(SpeedSettings.model_fields)
    deployment = set(DeploymentSettings.model_fields) - deepgram - shape - speeds
    function = set(FunctionSettings.model_fields) - deployment - deepgram - shape - speeds
    sections = (
        ("Function and job", DeploymentSettings, deployment),
        ("Deepgram (function and job)", DeepgramSettings, deepgram),
        ("Function", FunctionSettings, function),
        ("HTTP API", ApiSettings, set(ApiSettings.model_fields)),
        ("Speeds that quotes start from (function and job)", SpeedSettings, speeds),
        ("Job's hardware (function and job)", JobShapeSettings, shape),
        ("Job", JobSettings, set(JobSettings.model_fields) - deployment - deepgram - shape - speeds),
        ("`dropscribe doctor`", DoctorSettings, set(DoctorSettings.model_fields) - deployment - deepgram),
    )
    return _HEAD + "".join(f"\n## {title}\n\n{_table(model, names)}" for title, model, names in sections) + _TAIL


def _table(model: type[BaseSettings], names: set[str]) -> str:
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|", *_rows(model, names)]
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseSettings], names: set[str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in names:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        meaning = str(field.description) + (f" Source: {extra['source']}." if extra.get("source") else "")
        yield f"| `{name.upper()}` | {_default(field.default)} | {extra.get('unit') or ''} | {meaning} |"


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(str(part) for part in value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(page())
