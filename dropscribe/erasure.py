"""Erasing a job from a program: what `DELETE /jobs/{id}` does, with the caller's own credentials."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media import Upload
from shared.operations.erase import erase
from shared.operations.erasure_records import ErasureReceipt
from shared.settings.deployment import DeploymentSettings
from shared.state.deployment import connect


@dataclass(frozen=True)
class DeploymentNames:
    """What an erasure has to reach. Other settings that matter to it (RESULTS_PREFIX, RESULTS_TOPIC) come from the
    environment, where the deployment's are not the defaults."""

    project: str
    results_bucket: str
    state_bucket: str


def erase_job(names: DeploymentNames, job_id: str, upload: Upload | None = None) -> ErasureReceipt:
    """Erase a job: upload, results, records, names in the ledger. Raises ErasureRefused, and as `erase` does.

    `upload`: where it is known; an upload whose event has not arrived has no record to find it by.
    """
    settings = DeploymentSettings(
        google_cloud_project=names.project, results_bucket=names.results_bucket, state_bucket=names.state_bucket
    )
    return erase(connect(settings), settings, job_id, upload)
