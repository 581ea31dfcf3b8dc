"""Bills: what work costs, in line items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, computed_field

from shared.costs.prices import JobShape, PriceBook

GPU_UNIT = "GPU-s"
"""Unit of the lines for a GPU's time."""


class LineItem(BaseModel):
    """One resource on a bill: `quantity` x `usd_per_unit` = `usd`."""

    model_config = ConfigDict(frozen=True)

    resource: str
    quantity: Annotated[float, Field(ge=0)]
    unit: str
    usd_per_unit: Annotated[float, Field(ge=0)]

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

    def __add__(self, other: Bill) -> Bill:
        return Bill(items=self.items + other.items)


def instance_bill(shape: JobShape, seconds: float, book: PriceBook, phase: str) -> Bill:
    """`seconds` of a job instance -> GPU, CPU and memory lines. `phase` names them: `start-up`, `transcription`, ..."""
    items = [
        LineItem(
            resource=f"cloud run cpu ({phase})",
            quantity=seconds * shape.vcpu,
            unit="vCPU-s",
            usd_per_unit=book.cloud_run.vcpu_second.usd,
        ),
        LineItem(
            resource=f"cloud run memory ({phase})",
            quantity=seconds * shape.memory_gib,
            unit="GiB-s",
            usd_per_unit=book.cloud_run.gib_second.usd,
        ),
    ]
    if shape.gpu is not None:
        gpu = LineItem(
            resource=f"{shape.gpu} ({phase})",
            quantity=seconds,
            unit=GPU_UNIT,
            usd_per_unit=book.gpu_second_usd(shape.gpu),
        )
        items.insert(0, gpu)
    return Bill(items=tuple(items))


def deepgram_bill(model: str, audio_seconds: float, book: PriceBook) -> Bill:
    """Audio sent to Deepgram -> its line; Deepgram bills by the second at a price per minute."""
    line = LineItem(
        resource=f"deepgram {model}",
        quantity=audio_seconds / 60,
        unit="min",
        usd_per_unit=book.deepgram_minute_usd(model),
    )
    return Bill(items=(line,))


def egress_bill(size_bytes: float, book: PriceBook) -> Bill:
    """Bytes that somebody outside Google's network fetches, as Deepgram does through a signed URL."""
    line = LineItem(
        resource="cloud storage egress",
        quantity=size_bytes / 2**30,
        unit="GiB",
        usd_per_unit=book.cloud_storage.egress_gib.usd,
    )
    return Bill(items=(line,))


def total(bills: Iterable[Bill]) -> Bill:
    """Many bills -> one with all their lines."""
    return Bill(items=tuple(item for bill in bills for item in bill.items))
