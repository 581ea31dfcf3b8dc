"""The clients and stores that the function uses, made once per instance."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from shared.enums import JobDevice
from shared.state.deployment import Deployment, connect
from shared.telemetry import export
from shared.telemetry.logs import configure_logging
from shared.telemetry.stdio import capture_output
from trigger_function.alerts import Alerts
from trigger_function.budget import Budget
from trigger_function.deepgram.answers import AnswerStore, LateAnswers
from trigger_function.deepgram.callback_address import CallbackAddresses
from trigger_function.gathering import Gathering
from trigger_function.routing.router import Router
from trigger_function.settings.function import FunctionSettings


@dataclass(frozen=True)
class Services(Deployment):
    """Everything that the function reads from, writes to and decides with."""

    settings: FunctionSettings
    work_topics: Mapping[JobDevice, str]
    """Where each job's work items are published."""
    budget: Budget
    alerts: Alerts
    router: Router
    gathering: Mapping[JobDevice, Gathering]
    """What has gathered for each job; empty where uploads do not wait for company."""
    answers: AnswerStore
    late_answers: LateAnswers
    callbacks: CallbackAddresses | None
    """None: there is no key for them."""


@lru_cache(maxsize=1)
def services_from_environment() -> Services:
    """The services of this process, from its environment. Raises pydantic's ValidationError for a bad setting."""
    # Before the settings, one of which may be bad: that is to be logged as everything else is.
    configure_logging()
    if "K_SERVICE" in os.environ:  # On Cloud Run standard output and error belong to this process alone.
        capture_output()
    settings = FunctionSettings()
    logging.getLogger().setLevel(settings.log_level.upper())
    export.start("dropscribe-function")
    deployment = connect(settings)
    project, publisher = settings.google_cloud_project, deployment.publisher
    return Services(
        **vars(deployment),
        settings=settings,
        work_topics={
            JobDevice.GPU: publisher.topic_path(project, settings.work_topic),
            JobDevice.CPU: publisher.topic_path(project, settings.cpu_work_topic),
        },
        budget=Budget(
            deployment.ledger,
            settings.monthly_budget_usd,
            settings.budget_cache_seconds,
            folders=settings.rules.folder_budgets(),
        ),
        alerts=Alerts(deployment.state, publisher, publisher.topic_path(project, settings.alerts_topic)),
        router=Router.from_settings(settings, deployment.prices),
        gathering={
            device: Gathering(deployment.state, device, deployment.speeds)
            for device in JobDevice
            if settings.gather_seconds > 0
        },
        answers=AnswerStore(deployment.state),
        late_answers=LateAnswers(),
        callbacks=CallbackAddresses(settings.callback_keys, settings.deepgram_callback_url)
        if settings.callback_keys
        else None,
    )
