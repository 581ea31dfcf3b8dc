"""What the API works with: the function's services, and its own settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from shared.public_http.client import PublicHttp
from shared.state.result_files import ResultFiles
from trigger_function.api.folder_sums import FolderSums
from trigger_function.api.settings import ApiSettings
from trigger_function.api.web.callers import ApiKey
from trigger_function.services import Services, services_from_environment


@dataclass(frozen=True)
class ApiServices:
    """Everything that handlers read from, write to and decide with."""

    deployment: Services
    settings: ApiSettings
    keys: tuple[ApiKey, ...] | None
    """None: IAM alone decides who is let in."""
    folder_sums: FolderSums
    results: ResultFiles
    http: PublicHttp
    """For what callers name: https addresses alone, on the public Internet."""


@lru_cache(maxsize=1)
def api_services_from_environment() -> ApiServices:
    """The services of this process. Raises as `services_from_environment` does."""
    deployment, settings = services_from_environment(), ApiSettings()
    sums = FolderSums(deployment.ledger, deployment.settings.budget_cache_seconds)
    results = deployment.storage.bucket(deployment.settings.results_bucket)
    files = ResultFiles(results, deployment.settings.results_prefix)
    return ApiServices(deployment, settings, settings.keys, sums, files, PublicHttp())
