"""What alerts and the dashboard show exists: metrics of Google, and those that Terraform makes out of the logs."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta

from infra.terraform_offline.terraform import ROOT
from shared.failures import BadMedia
from shared.outcomes import rejected
from shared.telemetry import configure_logging
from shared.upload import Upload
from tests.conftest import Configured

MONITORING = (ROOT / "terraform" / "monitoring.tf").read_text()
ALERTING = (ROOT / "terraform" / "alerting.tf").read_text()
DASHBOARD = (ROOT / "infra" / "dashboards" / "cloud_monitoring.json").read_text()

GOOGLES = {
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
    "pubsub.googleapis.com/topic/send_request_count",
    "run.googleapis.com/container/gpu/memory_utilizations",
    "run.googleapis.com/container/gpu/utilizations",
    "run.googleapis.com/job/running_executions",
    "run.googleapis.com/request_latencies",
}
"""As Cloud Monitoring's list of metrics has them, read in November 2026."""


def test_googles_metrics_exist() -> None:
    shown = set(re.findall(r'metric\.type = \\"([^"\\]+)\\"', ALERTING + DASHBOARD))
    assert shown == GOOGLES


def test_metrics_out_of_the_logs_exist() -> None:
    declared = set(re.findall(r"^    (\w+) = \{\n      about", MONITORING, re.MULTILINE))
    queried = {
        re.sub("_(sum|bucket)$", "", name)
        for name in re.findall(r'= "(\w+)\{%s', MONITORING) + re.findall(r"metric_prefix\}(\w+)\{", MONITORING)
    }
    assert queried == declared == {"jobs_ended", "fallbacks", "launches_failed", "bill_usd", "times_expected"}


def test_the_dashboard_is_json_with_a_title_on_every_tile() -> None:
    tiles = json.loads(DASHBOARD)["mosaicLayout"]["tiles"]
    titles = [tile["widget"]["title"] for tile in tiles]
    assert len(set(titles)) == len(tiles) > 8
    assert all(tile["widget"]["xyChart"]["dataSets"] for tile in tiles)


def test_the_logs_have_what_metrics_read(configured: Configured) -> None:
    at_work = configured()
    job = at_work.jobs.claim(Upload(bucket="uploads", name="a.mp3", generation=1), "test", timedelta(minutes=1))
    assert job is not None
    written = io.StringIO()
    configure_logging("INFO", written)
    at_work.finisher.finish(job.record, rejected(BadMedia("No audio.")))
    (ended,) = [line for line in map(json.loads, written.getvalue().splitlines()) if line["message"] == "job ended"]
    read = set(re.findall(r"jsonPayload\.(\w+)", MONITORING)) - {"kind"}
    assert read <= ended.keys()


def test_a_failed_launch_is_logged_with_its_kind() -> None:
    launching = (ROOT / "trigger_function" / "launching.py").read_text()
    assert re.search(r'_log\.warning\("launch failed", extra=\{"fields": \{"kind":', launching)
