"""This process's calls to Deepgram, job by job, with prices on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from gpu_job.audio.samples import seconds
from gpu_job.engines.api_call import ApiCall
from shared.costs.bill import Bill, deepgram_bill
from shared.costs.prices import PriceBook

BYTES_PER_SAMPLE_SENT = 2
"""Chunks go to Deepgram as WAV."""


class DeepgramCalls:
    """Not safe for threads: its user has a lock."""

    def __init__(self, model: str, prices: PriceBook) -> None:
        """`model`: Deepgram's."""
        self._model = model
        self._prices = prices
        self._ended_usd = 0.0
        """Of jobs with a final bill."""
        self._started = Counter[str]()
        self._with_keyterms: set[str] = set()
        """Ids of the jobs whose calls have key terms, in their last attempt here."""
        self._multilingual: set[str] = set()
        """The same of those whose calls ask for several languages."""
        self._answered_samples = Counter[str]()
        """Job id -> audio that Deepgram transcribed in this attempt."""
        self._unanswered = defaultdict[str, set[ApiCall]](set)
        """Job id -> calls that have no answer yet, or lost it: Deepgram may bill them."""

    def open(self, job_id: str) -> None:
        """A job is in progress from now on. A re-run has the same id, and perhaps other options."""
        self._with_keyterms.discard(job_id)
        self._multilingual.discard(job_id)

    def start(self, call: ApiCall) -> None:
        """Its audio is about to be sent: it may be billed from now on."""
        self._started[call.job_id] += 1
        self._unanswered[call.job_id].add(call)
        if call.has_keyterms:
            self._with_keyterms.add(call.job_id)
        if call.is_multilingual:
            self._multilingual.add(call.job_id)

    def started(self, job_id: str) -> int:
        """How many calls were begun for the job; grows only."""
        return self._started[job_id]

    def answer(self, call: ApiCall) -> None:
        """Deepgram transcribed its audio."""
        if self._take(call):
            self._answered_samples[call.job_id] += call.sent_samples

    def fail_unbilled(self, call: ApiCall) -> None:
        """It failed before Deepgram can have done the work."""
        self._take(call)

    def _take(self, call: ApiCall) -> bool:
        """Take a call out of those without an answer. False where the job's final bill was made meanwhile, on which
        it stays as it was."""
        is_open = call in self._unanswered[call.job_id]
        self._unanswered[call.job_id].discard(call)
        return is_open

    def bill(self, job_id: str) -> Bill:
        """What the calls for a job in progress cost; those without an answer as possibly billed."""
        answered = self._bill(job_id, self._answered_samples[job_id], possibly=False)
        return answered + self._bill(job_id, _sent_samples(self._unanswered[job_id]), possibly=True)

    def end(self, job_id: str) -> Bill:
        """The same, once: the attempt at the job ends."""
        bill = self.bill(job_id)
        self._answered_samples.pop(job_id, None)
        self._unanswered.pop(job_id, None)
        self._ended_usd += bill.usd
        return bill

    @property
    def usd(self) -> float:
        """What all calls of this process cost, or may cost."""
        open_jobs = {*self._answered_samples, *self._unanswered}
        return self._ended_usd + sum(self.bill(job_id).usd for job_id in open_jobs)

    def _bill(self, job_id: str, samples: int, *, possibly: bool) -> Bill:
        return deepgram_bill(
            self._model,
            seconds(samples),
            samples * BYTES_PER_SAMPLE_SENT,
            self._prices,
            keyterms=job_id in self._with_keyterms,
            multilingual=job_id in self._multilingual,
            possibly=possibly,
        )


def _sent_samples(calls: Iterable[ApiCall]) -> int:
    return sum(call.sent_samples for call in calls)
