"""What a deployment's parts are called: the names that terraform/ gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

FUNCTIONS = ("upload", "reconcile")
DEVICES = ("gpu", "cpu")
"""What jobs run on; either may be left out."""

_PATTERNS = {
    "project": "[a-z][a-z0-9-]{4,28}[a-z0-9]",
    "region": "[a-z]+-[a-z]+[0-9]+",
    "name": "[a-z][a-z0-9-]{2,18}[a-z0-9]",
    "topic_prefix": "[a-z][a-z0-9-]{1,40}",
    "bucket_prefix": "[a-z0-9][a-z0-9_-]{1,50}",
}
"""As terraform/variables.tf has them, so that nothing else gets into a path or a command."""


@dataclass(frozen=True)
class Names:
    """A deployment in a project and region, by the module's variables `name`, `topic_prefix` and `bucket_prefix`."""

    project: str
    region: str
    name: str = "dropscribe"
    topic_prefix: str = "transcription"
    bucket_prefix: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what terraform/variables.tf refuses."""
        for field, pattern in _PATTERNS.items():
            value = getattr(self, field)
            if value is not None and not re.fullmatch(pattern, value):
                raise ValueError(f"{value!r} cannot be a {field.replace('_', ' ')}: it has to match {pattern}")

    @property
    def location(self) -> str:
        """`projects/P/locations/R`"""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def work_subscription(self) -> str:
        """Where the GPU job pulls."""
        return f"{self.topic_prefix}-work-job"

    @property
    def work_subscriptions(self) -> tuple[str, str]:
        """Where the GPU job and the CPU job pull."""
        return self.work_subscription, f"{self.topic_prefix}-work-cpu-job"

    @property
    def costs_subscription(self) -> str:
        """What writes outcomes into BigQuery."""
        return f"{self.topic_prefix}-results-costs"

    @property
    def secret(self) -> str:
        """The Deepgram key's."""
        return f"{self.name}-deepgram-api-key"

    @property
    def callback_secret(self) -> str:
        """Of the key that signs the addresses of Deepgram's callbacks."""
        return f"{self.name}-callback-key"

    @property
    def api_keys_secret(self) -> str:
        """Of the list of the HTTP API's keys."""
        return f"{self.name}-api-keys"

    @property
    def webhook_secret(self) -> str:
        """Of what signs webhooks."""
        return f"{self.name}-webhook-secrets"

    @property
    def dead_letter_subscriptions(self) -> tuple[str, str]:
        """What keeps the messages that could not be processed: of work, and of results."""
        return f"{self.topic_prefix}-work-dead-kept", f"{self.topic_prefix}-results-dead-kept"

    @property
    def registry(self) -> str:
        """Under which the images are pushed."""
        return f"{self.region}-docker.pkg.dev/{self.project}/{self.name}"

    def archive_url(self, release: str) -> str:
        """Of a release's function."""
        return f"gs://{self.bucket('source')}/function-{release}.zip"

    def make(self, target: str, release: str | None = None) -> str:
        """The command `make TARGET` for this deployment."""
        given = {
            "DEPLOYMENT": self.name if self.name != "dropscribe" else None,
            "TOPIC_PREFIX": self.topic_prefix if self.topic_prefix != "transcription" else None,
            "BUCKET_PREFIX": self.bucket_prefix if self.bucket_prefix != f"{self.project}-{self.name}" else None,
            "RELEASE": release,
        }
        options = "".join(f" {name}={value}" for name, value in given.items() if value)
        return f"make {target} PROJECT={self.project} REGION={self.region}{options}"

    def bucket(self, purpose: str) -> str:
        """Name of a bucket: `uploads`, `results`, `state`, `source`; `terraform` for its state."""
        return f"{self.bucket_prefix or f'{self.project}-{self.name}'}-{purpose}"

    def function(self, purpose: str) -> str:
        """Id of one of FUNCTIONS."""
        return f"{self.name}-{purpose}"

    def job(self, device: str) -> str:
        """Id of the job with `gpu` or `cpu`."""
        return f"{self.name}-{device}"
