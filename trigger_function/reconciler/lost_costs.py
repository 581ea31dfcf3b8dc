"""What a job cost whose record, the only note of it, is lost: as much as the ledger and stored answers say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from shared.costs.bill import Bill, calls_of_unknown_price, total
from shared.enums import Method
from shared.state.jobs.record import JobRecord
from shared.state.ledger_entry import Entry, EntryState, entry_id
from trigger_function.deepgram_finish import deepgram_model
from trigger_function.services import Services

MOST_DAYS = 31
"""Before the day on which a record is made anew, on which its job's line of the ledger is looked for."""


def reservation_of(services: Services, record: JobRecord, *, is_day_known: bool) -> Entry | None:
    """The ledger's line of a run, without a bill. One of an earlier day than the record's, as it is where nobody knows
    any more when the upload was received, is moved to the record's, where its bill will stand."""
    upload, day, line = record.upload, _day(record.received_at), entry_id(record.upload.job_id, record.run)
    found = services.ledger.entry(day, line)
    if is_day_known:
        return found
    blob = services.storage.bucket(upload.bucket).get_blob(upload.name, generation=upload.generation)
    days = 0 if blob is None else (day - _day(blob.time_created)).days
    for number in range(1, min(days, MOST_DAYS) + 1):
        before = services.ledger.entry(day - timedelta(days=number), line)
        if before is None or before.state is not EntryState.RESERVED:
            continue
        if found is None:
            found = before.model_copy(update={"day": day})
            services.ledger.reserve(found)
        # Behind that, so that a tick that is cut short does the same again.
        services.ledger.withdraw(before)
    return found


def possibly_spent(
    services: Services, record: JobRecord, calls: int | None, reserved: Entry | None
) -> tuple[Bill, int]:
    """What calls to Deepgram may have cost of which the record was the only note, and how many there were. `calls`: as
    much as could be read of that; None: nothing. `reserved`: the job's line of the ledger."""
    if calls == 0:
        return Bill(), 0
    # Of calls whose answers are posted, the record says it twice.
    posted = [call.price for call in record.callbacks if call.price.items]
    if posted and (calls is None or calls <= len(posted)):
        return total(posted), len(posted)
    # Each call is reserved with those before it.
    of_one = reserved.usd - reserved.possibly_usd if reserved and reserved.method is Method.DEEPGRAM else 0.0
    before = round(reserved.possibly_usd / of_one) if reserved and of_one > 0 else 0
    others = (calls or 1 + before) - len(posted)
    answer = services.answers.any_of(record)
    if answer is not None and calls is None and answer.run != record.run:
        return Bill(), 0  # it is on the bill of the run that called
    if answer is not None:
        return total([*posted, *[answer.price] * others]), others + len(posted)
    if reserved is None:
        return total(posted), len(posted)
    # What took over from Deepgram has a reservation of its own, with all calls.
    is_asked = reserved.method is Method.DEEPGRAM
    usd = of_one if is_asked else (reserved.possibly_usd - total(posted).usd) / others
    if usd <= 0:
        return total(posted), len(posted)
    unknown = calls_of_unknown_price(deepgram_model(services, record), others, usd)
    return total([*posted, unknown]), others + len(posted)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
