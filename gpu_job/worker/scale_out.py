"""Scaling out: a worker that sees more on its queue than the executions can do in time launches more of them."""

from __future__ import annotations

from gpu_job.periodic import PeriodicTask
from gpu_job.worker.services import JobServices

EVERY_SECONDS = 30.0
"""Two listings each time; most backlogs are seen by the function as they arrive."""


class ScaleOut(PeriodicTask):
    """Looks at the backlog now and then while it is entered; without effect where the worker may not launch."""

    def __init__(self, services: JobServices) -> None:
        super().__init__("scaling out", EVERY_SECONDS)
        self._launcher = services.launchers.get(services.settings.shape.job_device)

    def tick(self) -> None:
        """Launch what is missing. What fails is logged, and tried again next time."""
        if self._launcher is not None:
            self._launcher.launch_more()
