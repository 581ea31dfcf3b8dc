"""DELETE /jobs/{job_id}: everything of the job goes."""

from __future__ import annotations

from http import HTTPStatus

from shared.operations.erase import erase
from shared.operations.erasure_records import ErasureReceipt, erasure_receipt
from trigger_function.api.handlers.jobs import accepted_upload, visible_job
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call


def erase_job(call: Call) -> Answer:
    """The receipt: 200 where all is gone, 202 where a worker had the job, and the rest goes within minutes.

    Asked again, it answers with the receipt as it stands then; to whoever has the id, for the receipt names nothing.
    """
    deployment = call.services.deployment
    receipt = erasure_receipt(deployment.state, call.job_id)
    if receipt is None:
        visible_job(call)
    if receipt is None or not receipt.complete:
        accepted = accepted_upload(call)
        receipt = erase(deployment, deployment.settings, call.job_id, accepted.upload if accepted else None)
    return _answer(receipt)


def _answer(receipt: ErasureReceipt) -> Answer:
    return Answer(HTTPStatus.OK if receipt.complete else HTTPStatus.ACCEPTED, receipt)
