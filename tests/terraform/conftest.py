"""Terraform at work on a copy of the configuration; without its binary these tests say that they were left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.terraform_offline.provider import schema_provider
from infra.terraform_offline.terraform import SKIPPED, Workspace, find_terraform


@pytest.fixture(scope="session")
def provider() -> Iterator[Mapping[str, str]]:
    with schema_provider() as environment:
        # Terraform is gone before the memory that it would collect is missed: a sixth of its time.
        yield {**environment, "GOGC": "400"}


@pytest.fixture
def workspace(tmp_path: Path, provider: Mapping[str, str]) -> Workspace:
    """A copy that may be changed, ready for validate and test."""
    binary = find_terraform()
    if binary is None:
        pytest.skip(SKIPPED)
    return Workspace(binary, tmp_path, provider)
