"""A project as gcloud, the admin APIs and Terraform's provider see it: what is there, what is on, what is refused.

gcloud's answers have the exit status and the shape of gcloud 528's; refusals are worded as Google words them. None was
recorded in a real project: shapes are those of Google's discovery documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from infra.doctor.names import DEVICES, FUNCTIONS, Names
from infra.rehearse import recorded_answers
from infra.rehearse.google_apis import GoogleState, Json
from infra.rehearse.image_build import BuildError, docker_commands
from infra.rehearse.recorded_answers import quotas
from infra.terraform_offline.mock_resources import Values
from infra.terraform_offline.terraform import ROOT

AGENT_REFUSED = "Error 400: Permission denied while using the Eventarc Service Agent."
GPU_REFUSED = "Error 400: You do not have quota for using GPUs without zonal redundancy."
ALWAYS_ON = ("serviceusage",)
"""What a project without any API can be asked through."""

API_OF = {
    "google_artifact_registry": "artifactregistry",
    "google_bigquery": "bigquery",
    "google_cloud_run": "run",
    "google_cloud_scheduler": "cloudscheduler",
    "google_cloudfunctions2": "cloudfunctions",
    "google_logging": "logging",
    "google_monitoring": "monitoring",
    "google_project": "cloudresourcemanager",
    "google_pubsub": "pubsub",
    "google_secret_manager": "secretmanager",
    "google_service_account": "iam",
    "google_storage": "storage",
}
"""By the first part of a resource's type: the API that makes it. google_project_service itself needs serviceusage."""


@dataclass
class RecordedProject:
    """What is in a project, and how it answers."""

    names: Names
    gpus: int = 0
    vcpu: int = 20
    billing: bool = True
    forbidden_api: str = ""
    """One that an organization's policy keeps off."""
    takes_outcomes: bool = True
    """Whether Pub/Sub takes messages with more fields than their schema names."""
    refuses_gpus: bool = False
    """Whether Cloud Run refuses a GPU though there is quota."""
    agent_is_new: bool = False
    """Whether the first trigger is refused, for Eventarc's agent is minutes old."""
    default_project: str | None = None
    """Of gcloud's configuration, and quota project of the credentials."""
    new_bucket: Callable[[str], object] = lambda _: None
    google: GoogleState = field(default_factory=GoogleState)
    agents: set[str] = field(default_factory=set)
    """Service agents that were asked for."""
    buckets: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    resources: dict[str, int] = field(default_factory=dict)
    """What Terraform has made: how many of each type."""
    asked_of: set[str] = field(default_factory=set)
    """Projects that gcloud's commands were about."""

    def __post_init__(self) -> None:
        self.grant(self.gpus)
        self.google.enabled |= {f"{api}.googleapis.com" for api in ALWAYS_ON}

    def grant(self, gpus: int) -> None:
        """Set the quota of L4 GPUs."""
        self.gpus = gpus
        self.google.resources |= quotas(self.names, gpus, self.vcpu)

    def take_for_default(self, project: str) -> None:
        """Have gcloud and the credentials name another project, in which no API is on."""
        self.default_project = project
        self.google.foreign_projects.add(project)

    def keep_release(self, release: str) -> None:
        """Have a release that was built before."""
        self.images |= {f"{self.names.registry}/{device}:{release}" for device in DEVICES}
        self.objects.add(self.names.archive_url(release))

    def gcloud(self, words: list[str]) -> Json:
        """What a command prints, and its exit status."""
        if words[0] in ("version", "auth"):
            return _done("Google Cloud SDK 528.0.0" if words[0] == "version" else "ya29.recorded")
        given = next((word.partition("=")[2] for word in words if word.startswith("--project=")), None)
        described = words[words.index("describe") + 1] if {"projects", "describe"} <= set(words) else None
        self.asked_of.add(given or described or self.default_project or "(unset)")
        match [word for word in words if not word.startswith("--")]:
            case ["projects", "describe", _]:
                return _done("ACTIVE")
            case ["billing", "projects", "describe", _]:
                return _done(str(self.billing))
            case ["services", "enable", *apis]:
                return self._enable(apis)
            case ["beta", "services", "identity", "create"]:
                [service] = [word.partition("=")[2] for word in words if word.startswith("--service=")]
                self.agents.add(service.partition(".")[0])
                return _done()
            case ["storage", "buckets", "list"]:
                bucket = self.names.bucket("terraform")
                return self._off("storage") or _done(self.names.region.upper() if bucket in self.buckets else "")
            case ["storage", "buckets", "create", url]:
                self.buckets.add(url.removeprefix("gs://"))
                return self._off("storage") or _done()
            case ["storage", "buckets", _, url]:
                return _done() if url.removeprefix("gs://") in self.buckets else _missing(url)
            case ["storage", "objects", "describe", url]:
                return _done() if url in self.objects else _missing(url)
            case ["storage", "cp", path, url]:
                return self._upload(path, url)
            case ["artifacts", "docker", "images", "describe", image]:
                return _done() if image in self.images else _missing(image)
            case ["artifacts", "docker", "images", "list", _]:
                tags = sorted(image.rpartition(":")[2] for image in self.images)
                return self._off("artifactregistry") or _done(tags[-1] if tags else "")
            case ["secrets", "versions", "describe", "latest"]:
                return self._off("secretmanager") or _missing("Secret version")
            case ["beta", "builds", "submit", "."]:
                return self._off("cloudbuild") or self._build(words[-1])
            case ["pubsub", "schemas", "validate-message"]:
                return self._off("pubsub") or self._validated(words)
        return _failed(f"gcloud {' '.join(words)}: no answer was recorded")

    def applied(self, kind: str, before: Values | None, after: Values | None) -> str | None:
        """Take a change by Terraform; why Google refuses it, where it does."""
        if after is not None and (why := next(self._objections(kind, after), None)) is not None:
            return why
        if (before is None) != (after is None):
            self.resources[kind] = self.resources.get(kind, 0) + (1 if before is None else -1)
        values = after or before or {}
        if kind == "google_project_service":
            self.google.enabled.add(values["service"])
        elif kind == "google_storage_bucket" and before is None:
            self.buckets.add(values["name"])
            self.new_bucket(values["name"])
        for place, answer in self._answers(kind, values):
            if after is None:
                self.google.resources.pop(place, None)
            else:
                self.google.resources[place] = answer
        return None

    def _objections(self, kind: str, values: Values) -> Iterator[str]:
        """Whatever Google would refuse."""
        if kind == "google_project_service" and values["service"] == f"{self.forbidden_api}.googleapis.com":
            yield f"Error 403: Constraint gcp.restrictServiceUsage is violated: {values['service']}."
        api = next((API_OF[part] for part in API_OF if kind.startswith(part)), None)
        if kind != "google_project_service" and api is not None and self._off(api):
            yield f"Error 403: {api}.googleapis.com has not been used in project {self.names.project} before."
        member = str(values.get("member"))
        if "@gcp-sa-" in member and member.partition("@gcp-sa-")[2].partition(".")[0] not in self.agents:
            yield f"Error 400: Service account {member.partition(':')[2]} does not exist."
        if kind == "google_cloud_run_v2_job":
            image = _image(values)
            if image not in self.images:
                yield f"Error 400: Image '{image}' not found."
            if image.partition(":")[0].endswith("/gpu") and (self.refuses_gpus or self.gpus == 0):
                yield GPU_REFUSED
        if kind == "google_cloudfunctions2_function":
            source = values["build_config"][0]["source"][0]["storage_source"][0]
            if f"gs://{source['bucket']}/{source['object']}" not in self.objects:
                yield f"Error 400: Object {source['object']} was not found."
            if self.agent_is_new and values["event_trigger"]:
                self.agent_is_new = False
                yield AGENT_REFUSED

    def _answers(self, kind: str, values: Values) -> Iterator[tuple[str, Json]]:
        """What the admin APIs say of a resource that the doctor asks about."""
        names = self.names
        if kind == "google_cloud_run_v2_job":
            yield recorded_answers.job(names, values["name"].rpartition("-")[2], _image(values))
        elif kind == "google_cloudfunctions2_function":
            [purpose] = [one for one in FUNCTIONS if names.function(one) == values["name"]]
            environment = values["service_config"][0]["environment_variables"]
            yield recorded_answers.function(names, purpose, environment, ())
        elif kind == "google_cloud_scheduler_job":
            yield recorded_answers.scheduler(names)
        elif kind == "google_pubsub_subscription" and values["name"] == names.costs_subscription:
            yield recorded_answers.costs_subscription(names)

    def _enable(self, apis: list[str]) -> Json:
        if f"{self.forbidden_api}.googleapis.com" in apis:
            return _failed("PERMISSION_DENIED: Constraint gcp.restrictServiceUsage is violated.")
        self.google.enabled |= set(apis)
        return _done()

    def _off(self, api: str) -> Json | None:
        host = f"{api}.googleapis.com"
        if host in self.google.enabled:
            return None
        where = f"project {self.names.project}"
        return _failed(f"PERMISSION_DENIED: {host} has not been used in {where} before or it is disabled.")

    def _upload(self, path: str, url: str) -> Json:
        if not (ROOT / path).is_file():
            return _missing(path)
        if url.partition("//")[2].partition("/")[0] not in self.buckets:
            return _missing(url)
        self.objects.add(url)
        return _done()

    def _build(self, substitutions: str) -> Json:
        """A build: its docker commands, in order; what is pushed is there."""
        given = dict(pair.split("=") for pair in substitutions.partition("=")[2].split(","))
        try:
            commands = docker_commands({"PROJECT_ID": self.names.project, **given}, self.images)
        except BuildError as error:
            return _failed(str(error))
        pushed = {command.split()[-1] for command in commands if command.startswith("docker push ")}
        self.images |= pushed
        return _done("\n".join(commands))

    def _validated(self, words: list[str]) -> Json:
        options = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
        fields = [one["name"] for one in json.loads((ROOT / options["definition-file"]).read_text())["fields"]]
        message = json.loads(options["message"])
        lacking = [name for name in fields if name not in message]
        if lacking or not (self.takes_outcomes or set(message) <= set(fields)):
            return _failed("INVALID_ARGUMENT: Invalid data in message: Message failed schema validation.")
        return _done("Message is valid.")


def _image(values: Values) -> str:
    image: str = values["template"][0]["template"][0]["containers"][0]["image"]
    return image


def _done(output: str = "") -> Json:
    return {"status": 0, "output": output, "complaint": ""}


def _failed(why: str) -> Json:
    return {"status": 1, "output": "", "complaint": f"ERROR: {why}"}


def _missing(what: str) -> Json:
    return _failed(f"NOT_FOUND: {what} not found.")
