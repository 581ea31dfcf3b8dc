"""What is rehearsed: projects in some state, what is asked of each, and how that has to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.deploy.plan import DEEPGRAM_STEP, GPU_STEP, SCHEMA_STEP
from infra.doctor.names import Names
from infra.rehearse.recorded_project import AGENT_REFUSED, GPU_REFUSED, RecordedProject

OTHER_PROJECT = "somebody-elses"
NAMES = Names("a-rehearsal", "us-central1")
OLDER_RELEASE = "1a2b3c4d5e6f"
CHECKS = "the checks"
"""What a command begins with."""
FEW_VCPU = "8 vCPU and 40 GiB at once in us-central1; the defaults take up to 19 and 35."
BUILT = ("Create registry and buckets", "Build the images", "Pack the function", "Upload the function")
KEPT = ("Create the bucket of Terraform's state", *BUILT)
"""What a second deploy of a release leaves out."""


@dataclass(frozen=True)
class Run:
    """One command, and how it has to end."""

    says: tuple[str, ...]
    """Lines, or parts of lines, that have to be read."""
    stops_at: str | None = None
    """A step's title, or CHECKS; None: it ends well."""
    verb: str = "deploy"
    release: str | None = None
    variables: str = ""
    """What the file of variables (VARS) has."""
    left_out: tuple[str, ...] = ()
    """Titles of the steps that are done already."""

    @property
    def command(self) -> str:
        """As it is typed."""
        return NAMES.make(self.verb, self.release) + (" VARS=a.tfvars" if self.variables else "")


@dataclass(frozen=True)
class Scenario:
    """A project in some state, and what is asked of it."""

    title: str
    about: str
    runs: tuple[Run, ...]
    project: Callable[[], RecordedProject] | None = None
    """None: it goes on with the project of the scenario before."""
    prepare: Callable[[RecordedProject], object] = lambda _: None
    needs_terraform: bool = False
    jobs: int | None = None
    """How many jobs there are in the end; None: it does not matter."""


SCENARIOS = (
    Scenario(
        "A new project",
        "Billing, 20 vCPU, no quota for a GPU, no API is on, and Eventarc's agent is known minutes later only.",
        (
            Run((AGENT_REFUSED, "Once more in", "us-central1: without a GPU job.")),
        ),
        project=lambda: RecordedProject(NAMES, agent_is_new=True),
        needs_terraform=True,
        jobs=1,
    ),
    Scenario(
        "Wrong default project",
        "gcloud's configuration and the credentials name another project, in which no API is on.",
        (Run(("No changes.",), left_out=KEPT),),
        prepare=lambda project: project.take_for_default(OTHER_PROJECT),
        jobs=1,
        needs_terraform=True,
    ),
    Scenario(
        "Second run",
        "The same command once more, after quota for one GPU was granted.",
        (Run(("There is quota for an L4 in a-rehearsal, us-central1: with a GPU job.",), left_out=KEPT),),
        prepare=lambda project: project.grant(1),
        jobs=2,
        needs_terraform=True,
    ),
    Scenario(
        "Rollback",
        "To a release that was built before, and to one that was not.",
        (
            Run(("Resources: 0 added, 4 changed, 0 destroyed.",), release=OLDER_RELEASE, left_out=KEPT[:1]),
            Run(("release: 999999999999 has no gpu image and no cpu image and no archive.",), CHECKS, release="9" * 12),
        ),
        prepare=lambda project: project.keep_release(OLDER_RELEASE),
        jobs=2,
        needs_terraform=True,
    ),
    Scenario(
        "Destroy",
        "Asks for the project's id, lifts the deletion protection, deletes.",
        (Run(("Destroy complete!",), verb="destroy"),),
        jobs=0,
        needs_terraform=True,
    ),
    Scenario(
        "No billing",
        "The project has no open billing account.",
        (Run(("billing: No open billing account is linked to the project.",), CHECKS),),
        project=lambda: RecordedProject(NAMES, billing=False),
    ),
    Scenario(
        "No quota",
        "8 vCPU a region, and no quota for the GPU that the file of variables asks for.",
        (
            Run((FEW_VCPU, "Add to VARS: gpu_enabled = false"), GPU_STEP, variables="gpu_enabled = true\n"),
        ),
        project=lambda: RecordedProject(NAMES, vcpu=8),
    ),
    Scenario(
        "A GPU that is refused",
        "There is quota, and Cloud Run refuses the GPU all the same: all else is live.",
        (
            Run((GPU_REFUSED,), "Apply everything"),
            Run(("No GPU job is wanted: gpu_enabled or gpu_job says so.",), variables="gpu_enabled = false\n",
                left_out=KEPT),
        ),
        project=lambda: RecordedProject(NAMES, gpus=1, refuses_gpus=True),
        jobs=1,
        needs_terraform=True,
    ),
    Scenario(
        "Missing API",
        "A policy of the organization keeps off an API that the deployment needs.",
        (Run(("PERMISSION_DENIED: Constraint gcp.restrictServiceUsage is violated.",), "Enable the first APIs"),),
        project=lambda: RecordedProject(NAMES, forbidden_api="eventarc"),
    ),
    Scenario(
        "No Deepgram key",
        "The file of variables wants Deepgram, and nobody gave a key.",
        (Run(("DEEPGRAM_API_KEY=- asks for it.",), DEEPGRAM_STEP, variables="deepgram = { enabled = true }\n"),),
        project=lambda: RecordedProject(NAMES),
    ),
    Scenario(
        "Outcomes refused",
        "Pub/Sub takes no message with more fields than the topic's schema names.",
        (Run(("set results_schema = false in VARS",), SCHEMA_STEP),),
        project=lambda: RecordedProject(NAMES, takes_outcomes=False),
    ),
)  # fmt: skip
