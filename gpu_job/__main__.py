"""`python -m gpu_job`: one task of a Cloud Run job execution."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from google.auth.exceptions import DefaultCredentialsError
from google.cloud import pubsub_v1
from pydantic import ValidationError

from gpu_job import BEGAN
from gpu_job.settings import JobSettings
from gpu_job.speakers.sortformer import SpeakerModelUnusable
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import TaskIdentity, job_services
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from shared.costs.prices import UnusablePriceBook
from shared.errors import first_line, validation_message
from shared.telemetry import export
from shared.telemetry.logs import configure_logging
from shared.telemetry.stdio import capture_output, flush_captured_output

_log = logging.getLogger(__name__)

BAD_SETTING = 1
"""Exit status where the environment cannot be used. Cloud Run tries the task again, in vain."""

HANDED_ON = 75
"""Exit status (EX_TEMPFAIL) that has Cloud Run start the task again: work is left."""


def main() -> int:
    """Run the worker until the queue is empty, the task's time is nearly over, or Cloud Run says stop."""
    # Before torch is imported: on a CPU its idle threads would spin on the cores that the decoders need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    task = TaskIdentity.of(os.environ)
    # Before the settings, one of which may be bad: that is to be logged as everything else is.
    configure_logging(execution=task.execution)
    capture_output()
    try:
        settings = JobSettings()
        logging.getLogger().setLevel(settings.log_level.upper())
        export.start("dropscribe-job")
        services = job_services(settings, task)
        settings.open_speaker_model()  # weights that are not there end the process here, not an upload
    except ValidationError as error:
        _log.critical(validation_message(error))
        return BAD_SETTING
    except (UnusablePriceBook, SpeakerModelUnusable, DefaultCredentialsError) as error:
        _log.critical(first_line(error))
        return BAD_SETTING
    subscriber = pubsub_v1.SubscriberClient()
    subscription = WorkSubscription(
        subscriber, subscriber.subscription_path(settings.google_cloud_project, settings.work_subscription)
    )
    meter = Meter(began=BEGAN - settings.instance_start_seconds)
    worker = Worker(services, subscription, Billing(meter, services))
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the interrupted main thread may hold the very lock that stop() needs.
        signal.signal(number, lambda *_: threading.Thread(target=worker.stop_at_once, daemon=True).start())
    alarm = threading.Timer(settings.task_timeout_seconds - settings.stop_margin_seconds, worker.stop)
    alarm.daemon = True
    alarm.start()
    clean = worker.run()
    _log.info("worker ends", extra={"fields": {"clean": clean}})
    return 0 if clean else HANDED_ON


if __name__ == "__main__":
    status = main()
    # The engine's thread may sit in a long batch that nobody waits for any more; do not wait for it either.
    export.flush()
    flush_captured_output()
    sys.stderr.flush()
    os._exit(status)
