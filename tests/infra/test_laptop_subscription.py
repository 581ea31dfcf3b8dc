"""The laptop's queue returns and gives up items as Terraform's does."""

from __future__ import annotations

import re
from pathlib import Path

from infra.emulators.cloud import CloudOptions

TERRAFORM = (Path(__file__).parents[2] / "terraform" / "pubsub.tf").read_text()


def test_items_are_held_back_as_long_as_on_google() -> None:
    work = TERRAFORM[TERRAFORM.index('resource "google_pubsub_subscription" "work"') :]
    backoffs = re.findall(r'(?:minimum|maximum)_backoff = "(\d+)s"', work[: work.index("\n}\n")])
    assert tuple(map(float, backoffs)) == CloudOptions().item_backoff_seconds
