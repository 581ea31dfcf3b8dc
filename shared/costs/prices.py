"""The price book: unit prices in US dollars, each with its source, and the hardware they are applied to."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from shared.enums import JobDevice
from shared.errors import validation_message

MULTILINGUAL = "-multilingual"
"""Behind a Deepgram model's name: its price where the language changes within a recording."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UnknownPrice(KeyError):
    """The price book has no such line: an unknown price is an error, never $0."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnusablePriceBook(Exception):
    """The file that PRICE_BOOK names cannot be read, is no price book, or lacks a price of what the settings name."""


class Price(_Frozen):
    """One line of the price book."""

    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    source: Annotated[str, Field(min_length=1)]
    unverified: bool = False
    """Whether nobody has compared it with the provider's own page or with a bill."""


class CloudRunPrices(_Frozen):
    """Cloud Run jobs, per second of an instance's whole life."""

    vcpu_second: Price
    gib_second: Price


class CloudStoragePrices(_Frozen):
    """Cloud Storage, for what leaves Google's network."""

    egress_gib: Price


class PriceBook(_Frozen):
    """Unit prices in US dollars, each with its source, read on one day for one region."""

    schema_version: Literal[1]
    read_on: date
    region: str
    cloud_run: CloudRunPrices
    cloud_storage: CloudStoragePrices
    gpu_second: Mapping[str, Price]
    deepgram_minute: Mapping[str, Price]
    """By model, for accounts that let Deepgram keep and train on what they send."""
    deepgram_minute_opted_out: Mapping[str, Price] = Field(default_factory=dict)
    """By model, for calls with `mip_opt_out`."""
    deepgram_speakers_minute: Price | None = None
    """What diarization adds to a minute, whatever the model."""
    deepgram_keyterms_minute: Price | None = None
    """What key terms add to a minute, of models that take them."""
    deepgram_redaction_minute: Price | None = None
    """What redaction by Deepgram adds to a minute, whatever the model."""
    _opted_out: bool = PrivateAttr(default=False)

    @classmethod
    def load(cls, path: Path | None = None) -> PriceBook:
        """The book at `path`, or the shipped one, whose prices of additions stand for those that a book has not.

        Raises pydantic's ValidationError for a malformed book."""
        text = path.read_text() if path else files("shared.costs").joinpath("prices.toml").read_text()
        book = cls.model_validate(tomllib.loads(text))
        missing = [name for name in _ADDITIONS if getattr(book, name) is None]
        if path and missing:
            # Books of before these prices: an upload that asks for such an addition must not fail for it.
            shipped = cls.load()
            return book.model_copy(update={name: getattr(shipped, name) for name in missing})
        return book

    def opted_out(self) -> PriceBook:
        """The same book for who calls Deepgram with `mip_opt_out`."""
        book = self.model_copy()
        book._opted_out = True
        return book

    def gpu_second_usd(self, gpu: str) -> float:
        """Price of one second of this GPU."""
        return _price(self.gpu_second, gpu, "gpu_second").usd

    @property
    def deepgram_models(self) -> frozenset[str]:
        """Deepgram's models with a price, as calls name them: a model's price for several languages is no model."""
        priced = self._deepgram_prices
        return frozenset(one for one in priced if one.removesuffix(MULTILINGUAL) not in priced.keys() - {one})

    def deepgram_minute_usd(self, model: str, *, multilingual: bool = False) -> float:
        """Price of one minute of audio with this Deepgram model. `multilingual`: with `language=multi`, which is the
        model's own price where the book has no other one."""
        table = "deepgram_minute_opted_out" if self._opted_out else "deepgram_minute"
        own = _price({one: self._deepgram_prices[one] for one in self.deepgram_models}, model, table)
        return (self._deepgram_prices.get(f"{model}{MULTILINGUAL}", own) if multilingual else own).usd

    @property
    def _deepgram_prices(self) -> Mapping[str, Price]:
        return self.deepgram_minute_opted_out if self._opted_out else self.deepgram_minute

    def deepgram_speakers_minute_usd(self) -> float:
        """What it adds to a minute of audio that Deepgram tells the speakers apart."""
        if self.deepgram_speakers_minute is None:
            raise UnknownPrice("the price book has no deepgram_speakers_minute")
        return self.deepgram_speakers_minute.usd

    def deepgram_keyterms_minute_usd(self) -> float:
        """What it adds to a minute of audio that Deepgram favours key terms."""
        if self.deepgram_keyterms_minute is None:
            raise UnknownPrice("the price book has no deepgram_keyterms_minute")
        return self.deepgram_keyterms_minute.usd

    def deepgram_redaction_minute_usd(self) -> float:
        """What it adds to a minute of audio that Deepgram redacts its words."""
        if self.deepgram_redaction_minute is None:
            raise UnknownPrice("the price book has no deepgram_redaction_minute")
        return self.deepgram_redaction_minute.usd


_ADDITIONS = ("deepgram_speakers_minute", "deepgram_keyterms_minute", "deepgram_redaction_minute")


def _price(section: Mapping[str, Price], key: str, name: str) -> Price:
    if key not in section:
        known = ", ".join(sorted(section)) or "none"
        raise UnknownPrice(f"the price book has no [{name}] line for {key!r} (it has: {known})")
    return section[key]


@lru_cache(maxsize=4)
def price_book(path: Path | None = None, *, mip_opt_out: bool = False) -> PriceBook:
    """The price book, read once per process; `mip_opt_out`: whether Deepgram is called so (DEEPGRAM_MIP_OPT_OUT).

    Raises UnusablePriceBook.
    """
    try:
        book = PriceBook.load(path)
    except OSError as error:
        raise UnusablePriceBook(f"PRICE_BOOK: {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UnusablePriceBook(f"PRICE_BOOK: {path}: {validation_message(error)}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise UnusablePriceBook(f"PRICE_BOOK: {path} is no TOML file: {error}") from error
    return book.opted_out() if mip_opt_out else book


class JobShape(_Frozen):
    """The hardware of one job instance, as Cloud Run bills it."""

    gpu: str | None
    """Accelerator type of the price book, for example `nvidia-l4`; None for the CPU job."""
    vcpu: Annotated[float, Field(gt=0)]
    memory_gib: Annotated[float, Field(gt=0)]

    @property
    def job_device(self) -> JobDevice:
        """Of which of the deployment's jobs instances have this shape."""
        return JobDevice.GPU if self.gpu else JobDevice.CPU

    @property
    def device(self) -> str:
        """What the model runs on, as speeds are learned by: the accelerator type, or `cpu`."""
        return self.gpu or "cpu"
