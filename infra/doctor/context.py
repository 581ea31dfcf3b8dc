"""What every check looks at: the names, the APIs, the settings, and whether there is a deployment yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from google.cloud.storage import Client

from infra.doctor.google import ApiOff, Google, Missing, Unanswered
from infra.doctor.names import DEVICES, Names
from infra.doctor.resources import CloudFunction, RunJob
from infra.doctor.settings import DoctorSettings


@dataclass(frozen=True)
class Context:
    """Everything a check may ask."""

    names: Names
    settings: DoctorSettings
    google: Google
    storage: Client
    at: datetime
    deployed: bool = False
    release: str | None = None
    """One that must have been built, for a deploy that builds none."""

    def function(self, purpose: str) -> CloudFunction:
        """One of FUNCTIONS. Raises Unanswered."""
        path = f"v2/{self.names.location}/functions/{self.names.function(purpose)}"
        return self.google.get(CloudFunction, "cloudfunctions.googleapis.com", path)

    def job(self, device: str) -> RunJob:
        """The job with `gpu` or `cpu`. Raises Unanswered."""
        path = f"v2/{self.names.location}/jobs/{self.names.job(device)}"
        return self.google.get(RunJob, "run.googleapis.com", path)

    def devices(self) -> tuple[str, ...]:
        """What the jobs run on: the function knows which there are. Raises Unanswered."""
        try:
            variables = self.function("upload").service_config.environment_variables
        except Missing:
            return DEVICES
        return tuple(device for device in DEVICES if f"{device.upper()}_JOB" in variables)

    def is_deployed(self) -> bool:
        """Whether the function or a job is there, or cannot be asked; buckets alone are an unfinished deploy."""
        for ask in (lambda: self.function("upload"), lambda: self.job("gpu"), lambda: self.job("cpu")):
            try:
                ask()
            except (Missing, ApiOff):
                continue
            except Unanswered:
                return True
            return True
        return False

    def running_release(self) -> str | None:
        """The tag of a job's image; None where none can be asked."""
        for device in DEVICES:
            try:
                return self.job(device).image.rpartition(":")[2] or None
            except Unanswered:
                continue
        return None
