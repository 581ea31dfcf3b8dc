"""Bills: what work costs, in line items of a typed kind. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, computed_field

from shared.costs.prices import JobShape, PriceBook
from shared.keyterms.deepgram import MODELS as KEYTERM_MODELS


class LineItemKind(StrEnum):
    """What a line item pays for."""

    GPU = "gpu"
    CPU = "cpu"
    MEMORY = "memory"
    DEEPGRAM = "deepgram"
    """Audio that Deepgram transcribed."""
    EGRESS = "egress"
    """Bytes that left Google's network."""


_DEEPGRAM = "deepgram "
_POSSIBLY = " (possibly billed)"
_CALL = "call"
"""Unit of lines that only `calls_of_unknown_price` makes."""
_DIARIZATION, _KEYTERMS, _REDACTION = "diarization", "key terms", "redaction"
_DEEPGRAM_FEATURES = frozenset({_DIARIZATION, _KEYTERMS, _REDACTION})
"""What Deepgram bills beside the model."""
_FOR_SPEAKERS = "telling speakers apart"
_LANGUAGE_TRIAL = "language trial"


class Phase(StrEnum):
    """What an instance's time was spent on."""

    START_UP = "start-up"
    """From the start of the instance's bill to its first batch: container, imports, model load."""
    TRANSCRIPTION = "transcription"
    """While a batch ran."""
    WAITING = "waiting"
    """After the first batch, while none ran: idle, waiting for decoders, or for who tells speakers apart."""


class LineItem(BaseModel):
    """One resource on a bill: `quantity` x `usd_per_unit` = `usd`."""

    model_config = ConfigDict(frozen=True)

    kind: LineItemKind
    phase: Phase | None = None
    """Of an instance's time; None for what is not bought by its time."""
    resource: str
    """For people, for example `nvidia-l4 (start-up)`; code reads `kind` and `phase`."""
    quantity: Annotated[float, Field(ge=0)]
    unit: str
    usd_per_unit: Annotated[float, Field(ge=0)]
    possibly_billed: bool = False
    """Whether nobody knows if Deepgram bills it: a call began whose answer did not come."""
    task: str | None = None
    """Whose time, or call, it is: `<execution>/<index>-<attempt>` of a task of a job's execution. None: the function's,
    or nobody's yet."""

    @computed_field
    @property
    def usd(self) -> float:
        """Dollars of this line."""
        return self.quantity * self.usd_per_unit


class Bill(BaseModel):
    """What a job cost, in line items. An empty bill is a job on which nothing was spent."""

    model_config = ConfigDict(frozen=True)

    items: tuple[LineItem, ...] = ()

    @computed_field
    @property
    def usd(self) -> float:
        """Dollars of all lines."""
        return sum(item.usd for item in self.items)

    @property
    def possibly_usd(self) -> float:
        """Of them those that are only possibly billed."""
        return sum(item.usd for item in self.items if item.possibly_billed)

    def usd_of(self, *, kind: LineItemKind | None = None, phase: Phase | None = None) -> float:
        """Dollars of the lines of one kind, or of one phase, or of both."""
        return sum(item.usd for item in self.items if kind in (None, item.kind) and phase in (None, item.phase))

    @property
    def deepgram_models(self) -> frozenset[str]:
        """Deepgram's models that transcribed something, or may have."""
        items = (item.resource for item in self.items if item.kind is LineItemKind.DEEPGRAM)
        named = (resource.removeprefix(_DEEPGRAM).partition(" (")[0] for resource in items)
        return frozenset(named) - _DEEPGRAM_FEATURES

    @property
    def calls_usd(self) -> float:
        """Dollars of calls to Deepgram; all others are of an instance's time."""
        return sum(item.usd for item in self.items if item.phase is None)

    def signed(self, task: str) -> Bill:
        """The same lines as those of a task."""
        return Bill(items=tuple(item.model_copy(update={"task": task}) for item in self.items))

    def of_task(self, task: str) -> Bill:
        """The lines of a task: what of its cost this bill has."""
        return Bill(items=tuple(item for item in self.items if item.task == task))

    def without_time_of(self, task: str) -> Bill:
        """The same without what of an instance's time is a task's; its calls stay."""
        return Bill(items=tuple(item for item in self.items if item.task != task or item.phase is None))

    def replaced(self, before: Bill, after: Bill) -> Bill:
        """This bill with the lines of `after` in the place of those of `before`, as far as it has them."""
        items = list(self.items)
        for item in before.items:
            if item in items:
                items.remove(item)
        return Bill(items=(*items, *after.items))

    def answered(self, predicted: Bill, price: Bill) -> Bill:
        """This bill once it is known what a call to Deepgram cost, of which it has what was predicted.

        A bill that was made anew may have that call among its `calls_of_unknown_price` instead.
        """
        if self.includes(predicted):
            return self.replaced(predicted, price)
        unknown = next((item for item in self.items if item.unit == _CALL), None)
        if unknown is None:
            return self + price
        others = (unknown.model_copy(update={"quantity": unknown.quantity - 1}),) if unknown.quantity > 1 else ()
        return self.replaced(Bill(items=(unknown,)), Bill(items=(*others, *price.items)))

    def includes(self, other: Bill) -> bool:
        """Whether it has every line of another bill, and so was made of it: no two lines have the same seconds."""
        return Counter(other.items) <= Counter(self.items)

    def __add__(self, other: Bill) -> Bill:
        return Bill(items=self.items + other.items)


def instance_bill(
    shape: JobShape,
    seconds: Mapping[Phase, float],
    book: PriceBook,
    *,
    speakers_seconds: float = 0.0,
    trial_seconds: Iterable[tuple[str, float]] = (),
) -> Bill:
    """Seconds of a job instance by phase -> GPU, CPU and memory lines of each. Raises UnknownPrice.

    `speakers_seconds`: time in which speakers were still told apart while no batch ran. As much of the waiting has
    lines of its own, whose phase is waiting, too. `trial_seconds`: beside `seconds`, time in which models on
    trial hear the first speech, with who does: lines of their own, whose phase is transcription.
    """
    for_speakers = max(0.0, min(speakers_seconds, seconds.get(Phase.WAITING, 0.0)))
    spent_on = list[tuple[Phase, str, float]]()
    for phase, spent in seconds.items():
        beside = for_speakers if phase is Phase.WAITING else 0.0
        spent_on += [(phase, phase.value, spent - beside), (phase, _FOR_SPEAKERS, beside)]
    spent_on += [(Phase.TRANSCRIPTION, f"{_LANGUAGE_TRIAL}: {who}", spent) for who, spent in trial_seconds]
    bought = [
        (LineItemKind.CPU, "cloud run cpu", shape.vcpu, "vCPU-s", book.cloud_run.vcpu_second.usd),
        (LineItemKind.MEMORY, "cloud run memory", shape.memory_gib, "GiB-s", book.cloud_run.gib_second.usd),
    ]
    if shape.gpu is not None:
        bought.insert(0, (LineItemKind.GPU, shape.gpu, 1.0, "GPU-s", book.gpu_second_usd(shape.gpu)))
    return Bill(
        items=tuple(
            LineItem(
                kind=kind,
                phase=phase,
                resource=f"{resource} ({what_for})",
                quantity=spent * amount,
                unit=unit,
                usd_per_unit=usd_per_unit,
            )
            for phase, what_for, spent in spent_on
            if spent > 0
            for kind, resource, amount, unit, usd_per_unit in bought
        )
    )


def instance_second_usd(shape: JobShape, book: PriceBook) -> float:
    """Dollars of one second of a job instance, whatever it does. Raises UnknownPrice."""
    return instance_bill(shape, {Phase.WAITING: 1.0}, book).usd


def deepgram_bill(
    model: str,
    audio_seconds: float,
    sent_bytes: float,
    book: PriceBook,
    *,
    speakers: bool = False,
    keyterms: bool = False,
    redaction: bool = False,
    multilingual: bool = False,
    possibly: bool = False,
) -> Bill:
    """Audio that Deepgram transcribed -> its minutes, and the egress of the `sent_bytes` that it got or fetched.

    `audio_seconds`: each channel that is transcribed separately counts. `speakers`: whether it told the speakers apart.
    `keyterms`: whether it was given key terms, which cost where the model takes them.
    `redaction`: whether it redacted words itself. `multilingual`: whether it was asked for several languages within the
    recording. `possibly`: whether nobody knows that it did. Raises UnknownPrice.
    """
    note = _POSSIBLY if possibly else ""
    additions = (
        (_DIARIZATION, speakers, book.deepgram_speakers_minute_usd),
        (_KEYTERMS, keyterms and model.startswith(KEYTERM_MODELS), book.deepgram_keyterms_minute_usd),
        (_REDACTION, redaction, book.deepgram_redaction_minute_usd),
    )
    # A price that nobody asks for may be missing in the book.
    minute_usd = book.deepgram_minute_usd(model, multilingual=multilingual)
    per_minute = [(model, minute_usd), *((name, usd()) for name, asked, usd in additions if asked)]
    minutes = [
        LineItem(
            kind=LineItemKind.DEEPGRAM,
            resource=f"{_DEEPGRAM}{name}{note}",
            quantity=audio_seconds / 60,
            unit="min",
            usd_per_unit=usd,
            possibly_billed=possibly,
        )
        for name, usd in per_minute
    ]
    sent = LineItem(
        kind=LineItemKind.EGRESS,
        resource=f"cloud storage egress{note}",
        quantity=sent_bytes / 2**30,
        unit="GiB",
        usd_per_unit=book.cloud_storage.egress_gib.usd,
        possibly_billed=possibly,
    )
    return Bill(items=tuple(item for item in (*minutes, sent) if item.quantity > 0))


def calls_of_unknown_price(model: str, calls: int, usd: float) -> Bill:
    """Calls to Deepgram of which no note says more than how many there may have been. `usd`: reserved for one."""
    item = LineItem(
        kind=LineItemKind.DEEPGRAM,
        resource=f"{_DEEPGRAM}{model}{_POSSIBLY}",
        quantity=calls,
        unit=_CALL,
        usd_per_unit=usd,
        possibly_billed=True,
    )
    return Bill(items=(item,))


def total(bills: Iterable[Bill]) -> Bill:
    """Many bills -> one with all their lines."""
    return Bill(items=tuple(item for bill in bills for item in bill.items))
