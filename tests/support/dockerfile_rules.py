"""What must hold of the images' Dockerfiles: rules over their instructions, each of which says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "docker"
DOCKERFILES = ("Dockerfile.cpu", "Dockerfile.gpu")

COMPILERS = ("apt-get", "apk ", "gcc", "g++", "build-essential", "clang", "nvcc", "-devel")


@dataclass
class Stage:
    """What one FROM begins."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, keyword: str) -> list[str]:
        """The arguments of every instruction of this kind."""
        return [arguments for found, arguments in self.instructions if found == keyword]

    @property
    def environment(self) -> dict[str, str]:
        """ENV, all of it."""
        pairs = [pair for arguments in self.of("ENV") for pair in arguments.split()]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def copied(self) -> list[str]:
        """What COPY takes from the build's context."""
        return [
            source
            for arguments in self.of("COPY")
            if not arguments.startswith("--from=")
            for source in arguments.split()[:-1]
        ]


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile."""

    arguments: dict[str, str]
    """Defaults of every ARG."""
    stages: list[Stage]

    @property
    def final(self) -> Stage:
        return self.stages[-1]

    def stage(self, name: str) -> Stage:
        (found,) = [stage for stage in self.stages if stage.name == name]
        return found


def parse(text: str) -> Dockerfile:
    """A Dockerfile without heredocs."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    parsed = Dockerfile({}, [])
    for line in re.sub(r"\\\n\s*", "", kept).splitlines():
        keyword, _, arguments = line.strip().partition(" ")
        if keyword == "FROM":
            base, _, name = arguments.partition(" AS ")
            parsed.stages.append(Stage(base, name))
        elif keyword == "ARG":
            name, _, default = arguments.partition("=")
            # Without a default it takes an earlier ARG's value into a stage.
            parsed.arguments[name] = default or parsed.arguments.get(name, "")
        elif keyword:
            parsed.stages[-1].instructions.append((keyword, arguments.strip()))
    return parsed


def problems(text: str) -> list[str]:
    """Everything that is wrong with a Dockerfile."""
    dockerfile = parse(text)
    rules = (_bases, _packages, _compilers, _user, _process, _environment, _sources)
    return [problem for rule in rules for problem in rule(dockerfile)]


def _bases(dockerfile: Dockerfile) -> Iterator[str]:
    if not re.fullmatch(r"python:3\.11\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", dockerfile.arguments.get("PYTHON", "")):
        yield "PYTHON is no slim Python 3.11 of one release"
    names = {stage.name for stage in dockerfile.stages} | {"${PYTHON}"}
    yield from (f"{stage.base} is no known base" for stage in dockerfile.stages if stage.base not in names)


def _packages(dockerfile: Dockerfile) -> Iterator[str]:
    for stage in dockerfile.stages:
        for command in (part.strip() for run in stage.of("RUN") for part in run.split("&&")):
            if not re.match(r"(python -m )?pip\d? install", command) or "--no-index" in command:
                continue
            if "--require-hashes" not in command or "--no-deps" not in command:
                yield f"not installed by hash: {command}"
            if "--only-binary :all:" not in command and not command.endswith("-r sources.txt"):
                yield f"not from wheels only: {command}"
        if any("pip install" in run for run in stage.of("RUN")) and stage is dockerfile.final:
            yield "the final stage installs packages"


def _compilers(dockerfile: Dockerfile) -> Iterator[str]:
    lines = [arguments for stage in dockerfile.stages for _, arguments in stage.instructions]
    yield from (f"a compiler, or what brings one: {line}" for line in lines if any(each in line for each in COMPILERS))


def _user(dockerfile: Dockerfile) -> Iterator[str]:
    users = dockerfile.final.of("USER")
    if not users or not re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1]):
        yield "the job does not run as a user of its own, by number"


def _process(dockerfile: Dockerfile) -> Iterator[str]:
    wanted = {"ENTRYPOINT": ["python", "-m", "gpu_job"], "HEALTHCHECK": ["python", "-m", "gpu_job.health"]}
    for keyword, expected in wanted.items():
        found = [re.sub(r"^(--\S+ )*(CMD )?", "", arguments) for arguments in dockerfile.final.of(keyword)]
        if found != [json.dumps(expected)]:
            yield f"{keyword} is {found} instead of {expected}: a shell in between swallows signals"


def _environment(dockerfile: Dockerfile) -> Iterator[str]:
    found = dockerfile.final.environment
    if not found.get("HOME", "").startswith("/tmp"):
        yield "HOME is not below /tmp, the only place that can be written"
    if found.get("PYTHONUNBUFFERED") != "1":
        yield "log lines wait in a buffer"
    if any("PYTHONDONTWRITEBYTECODE" in stage.environment for stage in dockerfile.stages):
        yield "no bytecode is written at build time"
    if "LD_LIBRARY_PATH" in found:
        yield "a library path that may lead to another cuDNN than torch's"


def _sources(dockerfile: Dockerfile) -> Iterator[str]:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    seen = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for source in (source for stage in dockerfile.stages for source in stage.copied):
        if not (ROOT / source).exists():
            yield f"COPY of {source}, which does not exist"
        if not any(source == each or source.startswith(f"{each}/") for each in seen):
            yield f"COPY of {source}, which .dockerignore hides"
    yield from ("ADD fetches and unpacks by itself" for stage in dockerfile.stages if stage.of("ADD"))
