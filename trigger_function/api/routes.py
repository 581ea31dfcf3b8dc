"""Every route of the API, and who may use it. `openapi.yaml` describes each; a test holds the two to each other."""

from __future__ import annotations

from trigger_function.api.handlers.description import describe
from trigger_function.api.handlers.erasure import erase_job
from trigger_function.api.handlers.health import health
from trigger_function.api.handlers.job_list import list_jobs
from trigger_function.api.handlers.jobs import get_job
from trigger_function.api.handlers.listen import listen
from trigger_function.api.handlers.metrics import metrics
from trigger_function.api.handlers.openai_transcriptions import transcriptions
from trigger_function.api.handlers.rerun import rerun
from trigger_function.api.handlers.results import get_results
from trigger_function.api.handlers.transcribe import transcribe
from trigger_function.api.web.routes import Access, Route

ROUTES = (
    Route("POST", "/transcribe", "transcribe", transcribe, once=True),
    Route("GET", "/jobs", "listJobs", list_jobs),
    Route("GET", "/jobs/{job_id}", "getJob", get_job),
    Route("POST", "/v1/audio/transcriptions", "createTranscription", transcriptions),
    Route("POST", "/v1/listen", "listen", listen),
    Route("DELETE", "/jobs/{job_id}", "eraseJob", erase_job),
    Route("POST", "/jobs/{job_id}/rerun", "rerunJob", rerun, once=True),
    Route("GET", "/results/{job_id}", "getResults", get_results),
    Route("GET", "/health", "getHealth", health),
    Route("GET", "/metrics", "getMetrics", metrics, Access.DEPLOYMENT),
    Route("GET", "/openapi.yaml", "getDescription", describe, Access.ANYBODY),
)
