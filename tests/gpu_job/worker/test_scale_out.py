"""A worker that sees more on its queue than the executions can do in time launches more of them."""

from __future__ import annotations

from datetime import timedelta

from gpu_job.worker.scale_out import ScaleOut
from shared.clock import now
from shared.enums import JobDevice
from shared.state.jobs.open_markers import QueuedUpload
from tests.support.loopback_cloud import GPU_JOB, LoopbackCloud
from tests.support.worker_services import worker_services


def test_a_tick_launches_what_is_missing_for_the_backlog(cloud: LoopbackCloud) -> None:
    with worker_services() as services:
        scale_out = ScaleOut(services)
        scale_out.tick()
        assert cloud.executions() == []
        for number in range(10):
            upload = cloud.drop(b"sound", f"{number}.wav")
            assert services.jobs.claim(upload, "function/1", timedelta(minutes=5))
            queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=36_000.0, queued_at=now())
            services.jobs.markers.mark_queued(upload.job_id, queued)
            # The worker's last listing serves it for seconds.
            services.queued.add(upload.job_id, queued)
        scale_out.tick()
        assert cloud.executions() == [GPU_JOB] * services.settings.max_parallel_tasks
        scale_out.tick()
        assert len(cloud.executions()) == services.settings.max_parallel_tasks
