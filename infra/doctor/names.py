"""What a deployment's parts are called: the names that terraform/ gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

BUCKETS = ("uploads", "results", "state", "source")
TOPICS = ("work", "results", "alerts", "work-dead", "results-dead")
KEPT = ("alerts", "work-dead", "results-dead")
"""Topics with a subscription that only keeps what they were told."""
FUNCTIONS = ("upload", "reconcile")
DEVICES = ("gpu", "cpu")
"""What jobs run on; the second one may be left out."""
COMPONENTS = ("function", "job", "trigger", "scheduler", "build", "warehouse")

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
        """Where the job pulls."""
        return f"{self.topic_prefix}-work-job"

    @property
    def costs_subscription(self) -> str:
        """What writes outcomes into BigQuery."""
        return f"{self.topic_prefix}-results-costs"

    @property
    def secret(self) -> str:
        """The Deepgram key's."""
        return f"{self.name}-deepgram-api-key"

    @property
    def dataset(self) -> str:
        """BigQuery's, of the costs."""
        return f"{self.name.replace('-', '_')}_costs"

    @property
    def repository(self) -> str:
        """Artifact Registry's, of the functions' images."""
        return f"{self.name}-functions"

    def bucket(self, purpose: str) -> str:
        """Name of one of BUCKETS."""
        return f"{self.bucket_prefix or f'{self.project}-{self.name}'}-{purpose}"

    def topic(self, purpose: str) -> str:
        """Id of one of TOPICS."""
        return f"{self.topic_prefix}-{purpose}"

    def kept(self, purpose: str) -> str:
        """Id of the subscription of one of KEPT."""
        return f"{self.topic_prefix}-{purpose}-kept"

    def function(self, purpose: str) -> str:
        """Id of one of FUNCTIONS."""
        return f"{self.name}-{purpose}"

    def job(self, device: str) -> str:
        """Id of the job with `gpu` or `cpu`."""
        return f"{self.name}-{device}"

    def account(self, component: str) -> str:
        """Mail address of one of COMPONENTS."""
        return f"{self.name}-{component}@{self.project}.iam.gserviceaccount.com"
