"""GET /metrics: what /health says, for Prometheus."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.state.gpu_breaker import CircuitState
from trigger_function.api.handlers.health import Health, current_health
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def metrics(call: Call) -> Answer:
    """The deployment's levels; counts of uploads and dollars are exported by function and job (docs/metrics.md)."""
    # Here: nobody else needs it, and it takes 30 ms.
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return Answer(HTTPStatus.OK, generate_latest(_registry(current_health(call))), content_type=CONTENT_TYPE_LATEST)


def _registry(health: Health) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()

    def gauge(name: str, about: str, value: float) -> None:
        Gauge(f"dropscribe_{name}", about, registry=registry).set(value)

    gauge("gpu_available", "Whether uploads could have a GPU now.", health.gpu.available)
    gauge("gpu_transcription_enabled", "Whether there is a GPU job that may be used.", health.gpu_transcription_enabled)
    breaker = Gauge("dropscribe_gpu_breaker", "The state of the GPU's circuit breaker.", ["state"], registry=registry)
    for state in CircuitState:
        breaker.labels(state.value).set(state.value == health.breaker.state)
    items = Gauge("dropscribe_queue_items", "Work items that no worker has.", ["job"], registry=registry)
    audio = Gauge("dropscribe_queue_audio_seconds", "Audio that no worker has.", ["job"], registry=registry)
    for job, queue in health.queue.items():
        items.labels(job).set(queue.items)
        audio.labels(job).set(queue.audio_seconds)
    if health.budget.limit_usd is not None:
        gauge("budget_limit_usd", "What the month may cost.", health.budget.limit_usd)
        gauge("budget_spent_usd", "What of the month is billed or reserved.", health.budget.spent_usd or 0.0)
    return registry
