"""What every check looks at: the names, the APIs, the settings, and whether there is a deployment yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from google.cloud.storage import Client

from infra.doctor.google import ApiOff, Google, Missing, Unanswered
from infra.doctor.names import DEVICES, Names
from infra.doctor.resources_deployment import CloudFunction, RunJob
from infra.doctor.resources_project import Project
from infra.doctor.settings import DoctorSettings


@dataclass(frozen=True)
class Context:
    """Everything a check may ask."""

    names: Names
    settings: DoctorSettings
    google: Google
    storage: Client
    at: datetime
    deployed: bool

    def project(self) -> Project:
        """The project. Raises Unanswered."""
        return self.google.get(Project, "cloudresourcemanager.googleapis.com", f"v3/projects/{self.names.project}")

    def project_number(self) -> str:
        """What Google's own accounts are named after. Raises Unanswered."""
        return self.project().name.removeprefix("projects/")

    def function(self, purpose: str) -> CloudFunction:
        """One of FUNCTIONS. Raises Unanswered."""
        return function_of(self.google, self.names, purpose)

    def job(self, device: str) -> RunJob:
        """The job with `gpu` or `cpu`. Raises Unanswered."""
        return job_of(self.google, self.names, device)

    def devices(self) -> tuple[str, ...]:
        """What the jobs run on: the function knows whether there is one without a GPU. Raises Unanswered."""
        try:
            told = self.function("upload").service_config.environment_variables
        except Missing:
            return DEVICES
        return DEVICES if "CPU_JOB" in told else DEVICES[:1]


def function_of(google: Google, names: Names, purpose: str) -> CloudFunction:
    """One of FUNCTIONS. Raises Unanswered."""
    path = f"v2/{names.location}/functions/{names.function(purpose)}"
    return google.get(CloudFunction, "cloudfunctions.googleapis.com", path)


def job_of(google: Google, names: Names, device: str) -> RunJob:
    """The job with `gpu` or `cpu`. Raises Unanswered."""
    return google.get(RunJob, "run.googleapis.com", f"v2/{names.location}/jobs/{names.job(device)}")


def is_deployed(google: Google, names: Names) -> bool:
    """Whether the function or the GPU job is there, or nobody can tell; buckets alone are a deploy half begun."""
    for ask in (lambda: function_of(google, names, "upload"), lambda: job_of(google, names, "gpu")):
        try:
            ask()
        except (Missing, ApiOff):
            continue
        except Unanswered:
            return True
        return True
    return False
