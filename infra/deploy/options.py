"""The options of a deployment, and what follows from them before Terraform has run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from infra.deploy.variables import Variables
from infra.doctor.names import Names
from infra.terraform_offline.terraform import ROOT

DEFAULT_VARIABLES = ROOT / "terraform" / "terraform.tfvars"

_RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class OptionError(ValueError):
    """A wrong option, in a sentence for who gave it."""


@dataclass(frozen=True)
class Target:
    """Which deployment. Two may share a project under different names."""

    names: Names
    variables: Path | None = None
    """A file of Terraform variables: all but the release and what the names are made of."""

    def __post_init__(self) -> None:
        if self.variables is not None and not self.variables.is_file():
            raise OptionError(f"VARS: there is no file {self.variables}.")

    @property
    def given(self) -> Variables:
        """What the file of variables gives."""
        return Variables() if self.variables is None else Variables.read(self.variables)

    @property
    def has_results_schema(self) -> bool:
        """Whether Pub/Sub is to hold outcomes to their schema, as by default."""
        return self.given.flag("results_schema") is not False

    @property
    def has_callbacks(self) -> bool:
        """Whether Deepgram posts its answers about long audio."""
        return self.given.flag("deepgram", "callbacks") is True

    @property
    def has_api_keys(self) -> bool:
        """Whether callers of the HTTP API need keys."""
        return self.given.flag("api", "keys") is True

    @property
    def has_webhooks(self) -> bool:
        """Whether outcomes are posted to URLs."""
        return self.given.flag("webhooks", "enabled") is True

    @property
    def project(self) -> str:
        """Google Cloud project."""
        return self.names.project

    @property
    def bucket_prefix(self) -> str:
        """First part of the buckets' names, whether it was given or follows from project and name."""
        return self.names.bucket("").removesuffix("-")

    @property
    def state_bucket(self) -> str:
        """Of Terraform's state. Not one of the deployment's own: it must outlive them."""
        return self.names.bucket("terraform")

    @property
    def source_url(self) -> str:
        """Of the bucket of what is built from."""
        return f"gs://{self.names.bucket('source')}"

    @property
    def folder(self) -> Path:
        """Terraform's folder below the checkout; `make clean` may take it, for the state is not in it."""
        return Path("build", "deploy", self.project, self.names.name)

    def arguments(self, release: str) -> tuple[str, ...]:
        """Terraform's variables; what is named here wins over the file."""
        named = {
            "project": self.project,
            "region": self.names.region,
            "name": self.names.name,
            "bucket_prefix": self.bucket_prefix,
            "topic_prefix": self.names.topic_prefix,
            "release": release,
        }
        file = () if self.variables is None else (f"-var-file={self.variables.resolve()}",)
        return (*file, *(f"-var={name}={value}" for name, value in named.items()))


@dataclass(frozen=True)
class Options:
    """A deployment that is asked for."""

    target: Target
    release: str
    builds: bool = True
    """Whether the release is this checkout. Another one must have been built before: nothing is built for it."""
    approved: bool = False
    """Whether Terraform goes on without asking."""
    with_deepgram_key: bool = False
    """Whether a key was given, to be added to the secret."""
    cached_release: str | None = None
    """One that was built before, whose image layers are used again where nothing in them changed."""

    def __post_init__(self) -> None:
        if not _RELEASE.fullmatch(self.release):
            raise OptionError(f"RELEASE is an image tag: letters, digits, dots, hyphens. Not {self.release!r}.")

    @property
    def lacks_deepgram_key(self) -> bool:
        """Whether Deepgram is to be used, and no key was given with this deploy: one has to be there."""
        return self.target.given.flag("deepgram", "enabled") is True and not self.with_deepgram_key
