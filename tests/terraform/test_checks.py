"""`make terraform` passes, and it catches the mistakes that cost money, secrets or uploads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.terraform_offline.environments import problems
from infra.terraform_offline.terraform import ROOT, Workspace

TERRAFORM = ROOT / "terraform"


@dataclass(frozen=True)
class Mistake:
    """One edit of a file of terraform/, and who complains of it with what words."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    """`validate`, the name of a file of terraform/tests, or `environment`."""
    says: str
    alone: bool = False
    """Whether Terraform does not come to it where there are others."""


MISTAKES = (
    Mistake("unknown argument", "storage.tf", "uniform_bucket_level_access", "uniform_access", "validate",
            "An argument named"),
    Mistake("unknown block", "storage.tf", 'soft_delete_policy {', 'soft_deletion {', "validate",
            'Blocks of type "soft_deletion" are not expected here'),
    Mistake("missing required", "storage.tf", "  location                    = var.region\n", "", "validate",
            'The argument "location" is required'),
    Mistake("wrong type", "job.tf", "max_retries           = var.gpu_job.max_retries", 'max_retries = "many"',
            "validate", "a number is required", alone=True),
    Mistake("wrong reference", "function.tf", 'google_service_account.this["build"].id',
            "google_service_account.build.id", "validate", "Reference to undeclared resource", alone=True),
    Mistake("undeclared variable", "function.tf", "var.function.memory", "var.memory", "validate",
            "Reference to undeclared input variable"),
    Mistake("public bucket", "storage.tf", '"enforced"', '"inherited"', "shapes", "A bucket could be made public"),
    Mistake("public function", "function.tf", '"ALLOW_INTERNAL_ONLY"', '"ALLOW_ALL"', "shapes",
            "A function can be called from outside"),
    Mistake("results for everybody", "iam.tf",
            'bucket = "results", role = "roles/storage.objectUser", member = local.member["job"]',
            'bucket = "results", role = "roles/storage.objectUser", member = "allUsers"', "iam", "allUsers"),
    Mistake("role too broad", "iam.tf", '"roles/storage.objectViewer", member = local.member["function"]',
            '"roles/storage.admin", member = local.member["function"]', "iam", "roles/storage.admin"),
    Mistake("role on everything", "iam.tf", "  project_roles = {\n", "  project_roles = {\n"
            '    logs = { role = "roles/editor", member = local.member["job"], condition = null }\n', "iam",
            "roles/editor"),
    Mistake("key of callbacks for the jobs", "callback.tf", 'toset(["callback", "function"])',
            'toset(["callback", "function", "job"])', "iam", "Bindings on the key of callbacks"),
    Mistake("build that cannot push the jobs' images", "iam.tf",
            "    images    = google_artifact_registry_repository.images.repository_id\n", "", "iam",
            "Bindings on the images"),
    Mistake("default account", "job.tf", 'google_service_account.this["job"].email', '"default"', "iam",
            "The jobs run as the job's account"),
    Mistake("uploads in memory", "job.tf", 'medium     = "DISK"', 'medium     = "MEMORY"', "shapes",
            "Both jobs have an ephemeral disk of 10 GiB"),
    Mistake("disk where there is none", "job.tf", "contains(local.disk_regions, var.region) ? var.cpu_job.disk_gib : 0",
            "var.cpu_job.disk_gib", "shapes", "Without a GPU Cloud Run refuses a disk here"),
    Mistake("disk that routing believes in", "environment.tf",
            'cpu_job_disk_gib         = var.cpu_job.enabled ? local.disk_gib["cpu"] : null',
            "cpu_job_disk_gib         = var.cpu_job.enabled ? var.cpu_job.disk_gib : null", "shapes",
            "Routing must know which job has no disk"),
    Mistake("wrong accelerator", "job.tf", '"nvidia-l4"', '"nvidia-t4"', "shapes", "The accelerator is an L4"),
    Mistake("zonal redundancy", "job.tf", "redundancy_disabled = true", "redundancy_disabled = false", "shapes",
            "without zonal redundancy"),
    Mistake("missing retry policy of events", "function.tf",
            '      retry_policy          = "RETRY_POLICY_RETRY"\n', "", "shapes", "A failed event must come again"),
    Mistake("missing retry policy of work", "pubsub.tf",
            '  retry_policy {\n    minimum_backoff = "10s"\n    maximum_backoff = "600s"\n  }\n', "", "messages",
            "google_pubsub_subscription.work : work.retry_policy"),
    Mistake("no dead letters", "pubsub.tf", 'google_pubsub_topic.this["work-dead"].id',
            'google_pubsub_topic.this["alerts"].id', "messages", "What no worker can read becomes a dead letter"),
    Mistake("wrong event", "function.tf", "object.v1.finalized", "object.v1.finalised", "shapes",
            "The event of a finished upload"),
    Mistake("ledger that expires", "storage.tf", '["jobs/"]', "null", "shapes", "the ledger is kept"),
    Mistake("misspelt setting", "environment.tf", "gpu_rollout_percent      =", "gpu_rollout_percentage   =",
            "environment", "is given GPU_ROLLOUT_PERCENTAGE, which is no setting"),
    Mistake("misspelt optional setting", "settings.tf", "claim_seconds ", "claim_secs ", "environment",
            "var.function_settings.claim_secs is no setting"),
    Mistake("setting of another type", "settings.tf", "max_attempts                  = optional(number)",
            "max_attempts                  = optional(string)", "environment", "the setting is a number"),
    Mistake("setting of the wrong side", "environment.tf", "      task_timeout_seconds =",
            "      monthly_budget_usd = 5\n      task_timeout_seconds =", "environment",
            'google_cloud_run_v2_job.gpu[0] is given MONTHLY_BUDGET_USD'),
    Mistake("value that is refused", "environment.tf",
            '"${local.job_name_prefix}/${local.gpu_job_name}"', "local.gpu_job_name", "environment",
            "String should match pattern"),
)  # fmt: skip


def test_the_configuration_passes(workspace: Workspace) -> None:
    failed = [f"{done.command}\n{done.output}" for done in workspace.checks() if not done.ok]
    assert failed == []


def test_functions_and_jobs_are_given_exactly_their_settings(workspace: Workspace) -> None:
    assert problems(workspace) == []


def made_together() -> dict[str, list[Mistake]]:
    """Mistakes that one check catches, for each of its runs takes Terraform seconds."""
    runs: dict[str, list[Mistake]] = {}
    for mistake in MISTAKES:
        runs.setdefault(mistake.name if mistake.alone else mistake.caught_by, []).append(mistake)
    return runs


@pytest.mark.parametrize("mistakes", made_together().values(), ids=made_together())
def test_every_mistake_is_caught(workspace: Workspace, mistakes: Sequence[Mistake]) -> None:
    for mistake in mistakes:
        path = workspace.module / mistake.file
        text = path.read_text()
        assert mistake.old in text, mistake.name
        path.write_text(text.replace(mistake.old, mistake.new))
    said = plain(complaint(workspace, mistakes[0].caught_by))
    assert [mistake.name for mistake in mistakes if mistake.says not in said] == []


def complaint(workspace: Workspace, by: str) -> str:
    if by == "environment":
        return "\n".join(problems(workspace))
    done = workspace.run("validate") if by == "validate" else workspace.run("test", f"-filter=tests/{by}.tftest.hcl")
    assert not done.ok
    return done.output


def plain(output: str) -> str:
    """Terraform breaks its sentences into lines, with a bar before each."""
    return re.sub(r"[\s│╷╵]+", " ", output)


def test_every_kind_of_binding_is_looked_at_whole() -> None:
    declared = set(re.findall(r'^resource "(google_\w*_iam_\w+)" "(\w+)"', configuration(), re.MULTILINE))
    seen = set(
        re.findall(r"toset\(\[for one in (google_\w+)\.(\w+) :", (TERRAFORM / "tests/iam.tftest.hcl").read_text())
    )
    assert declared == seen


def test_nobody_is_bound_by_a_list_that_replaces_others() -> None:
    assert re.findall(r'"google_\w+_iam_(?:binding|policy)"', configuration()) == []


@pytest.mark.parametrize("path", sorted(TERRAFORM.rglob("*.tf")), ids=lambda path: str(path.relative_to(TERRAFORM)))
def test_every_variable_and_output_is_described(path: Path) -> None:
    for block in re.findall(r'^(?:variable|output) "\w+" \{.*?^\}', path.read_text(), re.MULTILINE | re.DOTALL):
        assert re.search(r'^  description = ".{10,}"$', block, re.MULTILINE), block


def configuration() -> str:
    return "\n".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
