"""Google's own metrics that alerts and dashboards use, as Cloud Monitoring's lists have them (November 2026)."""

from __future__ import annotations

from collections.abc import Mapping

NUMBER, DISTRIBUTION = "number", "distribution"

_PUBSUB = "https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-pubsub"
_RUN = "https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-run"

GOOGLE_METRICS: Mapping[str, tuple[str, str]] = {
    "pubsub.googleapis.com/subscription/num_undelivered_messages": (NUMBER, _PUBSUB),
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age": (NUMBER, _PUBSUB),
    "pubsub.googleapis.com/topic/send_request_count": (NUMBER, _PUBSUB),
    "run.googleapis.com/container/gpu/memory_utilizations": (DISTRIBUTION, _RUN),
    "run.googleapis.com/container/gpu/utilizations": (DISTRIBUTION, _RUN),
    "run.googleapis.com/job/running_executions": (NUMBER, _RUN),
    "run.googleapis.com/request_latencies": (DISTRIBUTION, _RUN),
}
"""Metric -> what its values are, and where that is documented."""
