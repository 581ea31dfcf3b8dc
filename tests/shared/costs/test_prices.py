"""Prices with their sources, and bills that add up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.costs.bill import (
    Bill,
    LineItemKind,
    Phase,
    calls_of_unknown_price,
    deepgram_bill,
    instance_bill,
    instance_second_usd,
    total,
)
from shared.costs.prices import JobShape, PriceBook, UnknownPrice, UnusablePriceBook, price_book
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import CPU_JOB

BOOK = """
schema_version = 1
read_on = 2026-08-01
region = "here"
[cloud_run]
vcpu_second = { usd = 0.1, source = "s" }
gib_second = { usd = 0.01, source = "s" }
[cloud_storage]
egress_gib = { usd = 0.2, source = "s" }
[gpu_second]
nvidia-l4 = { usd = 2, source = "s" }
[deepgram_minute]
nova-3 = { usd = 0.6, source = "s" }
"""
L4 = JobShape(gpu="nvidia-l4", vcpu=4, memory_gib=16)
CPU = JobShape(gpu=None, vcpu=8, memory_gib=32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(BOOK)
    return path


@pytest.fixture
def book(path: Path) -> PriceBook:
    return PriceBook.load(path)


def test_the_shipped_book_prices_what_the_defaults_use() -> None:
    book = price_book()
    hour = instance_bill(L4, {Phase.TRANSCRIPTION: 3600}, book).usd
    assert hour == pytest.approx(1.0465, abs=1e-4)
    assert deepgram_bill("nova-3", 3600, 0, book).usd == pytest.approx(0.258)
    assert price_book() is book


def test_a_price_for_several_languages_is_no_model() -> None:
    for book in (price_book(), price_book().opted_out()):
        assert book.deepgram_models == {"nova-3"}
        assert book.deepgram_minute_usd("nova-3", multilingual=True) > book.deepgram_minute_usd("nova-3")
        with pytest.raises(UnknownPrice, match=r"it has: nova-3\)"):
            book.deepgram_minute_usd("nova-3-multilingual")


def test_an_instance_is_billed_in_three_lines(book: PriceBook) -> None:
    bill = instance_bill(L4, {Phase.START_UP: 10}, book)
    assert [(item.kind, item.resource, item.quantity, item.unit) for item in bill.items] == [
        (LineItemKind.GPU, "nvidia-l4 (start-up)", 10, "GPU-s"),
        (LineItemKind.CPU, "cloud run cpu (start-up)", 40, "vCPU-s"),
        (LineItemKind.MEMORY, "cloud run memory (start-up)", 160, "GiB-s"),
    ]
    assert {item.phase for item in bill.items} == {Phase.START_UP}
    assert [item.usd for item in bill.items] == pytest.approx([20, 4, 1.6])
    assert bill.usd == pytest.approx(25.6)


def test_an_instance_without_gpu_has_no_gpu_line(book: PriceBook) -> None:
    bill = instance_bill(CPU, {Phase.TRANSCRIPTION: 10}, book)
    assert [item.unit for item in bill.items] == ["vCPU-s", "GiB-s"]
    assert bill.usd == pytest.approx(8 + 3.2)


def test_deepgram_bills_by_the_second(book: PriceBook) -> None:
    assert deepgram_bill("nova-3", 1, 0, book).usd == pytest.approx(0.01)
    assert deepgram_bill("nova-3", 90, 0, book).usd == pytest.approx(0.9)


def test_an_answer_takes_the_place_of_its_call_once(book: PriceBook) -> None:
    predicted, price = deepgram_bill("nova-3", 60, 2**20, book, possibly=True), deepgram_bill("nova-3", 59, 2**20, book)
    other = instance_bill(CPU, {Phase.WAITING: 1}, book)
    assert (other + predicted).answered(predicted, price) == other + price
    # Nobody knows any more what was predicted.
    unknown = calls_of_unknown_price("nova-3", 2, 0.7)
    assert unknown.possibly_usd == pytest.approx(1.4)
    assert unknown.deepgram_models == {"nova-3"}
    once = (other + unknown).answered(predicted, price)
    assert once == other + calls_of_unknown_price("nova-3", 1, 0.7) + price
    assert once.answered(predicted, price) == other + price + price
    # It was refused.
    assert (other + predicted).answered(predicted, Bill()) == other
    assert (other + calls_of_unknown_price("nova-3", 1, 0.7)).answered(predicted, Bill()) == other
    # Nor that there was one.
    assert other.answered(predicted, price) == other + price


def test_egress_is_billed_by_the_gib(book: PriceBook) -> None:
    assert deepgram_bill("nova-3", 0, 2**29, book).usd == pytest.approx(0.1)
    assert price_book().cloud_storage.egress_gib.usd > 0


@pytest.mark.parametrize(("told_apart", "for_speakers"), [(0.0, 0.0), (3.0, 3.0), (-1.0, 0.0), (9.0, 5.0)])
def test_waiting_for_who_speaks_has_lines_of_its_own_and_costs_no_more(
    book: PriceBook, told_apart: float, for_speakers: float
) -> None:
    seconds = {Phase.START_UP: 10.0, Phase.WAITING: 5.0, Phase.TRANSCRIPTION: 20.0}
    plain, bill = instance_bill(L4, seconds, book), instance_bill(L4, seconds, book, speakers_seconds=told_apart)
    lines = [item for item in bill.items if item.resource.endswith(" (telling speakers apart)")]
    assert sum(item.usd for item in lines) == pytest.approx(for_speakers * instance_second_usd(L4, book))
    assert {item.phase for item in lines} <= {Phase.WAITING}
    for phase in Phase:
        assert bill.usd_of(phase=phase) == pytest.approx(plain.usd_of(phase=phase))
    assert all(item.quantity > 0 for item in bill.items)


def test_a_line_says_in_a_typed_way_what_it_pays_for(book: PriceBook) -> None:
    bill = instance_bill(L4, {Phase.START_UP: 10, Phase.WAITING: 5, Phase.TRANSCRIPTION: 0}, book)
    bill += deepgram_bill("nova-3", 60, 2**30, book)
    assert [(item.kind, item.phase) for item in bill.items] == [
        *[(kind, Phase.START_UP) for kind in (LineItemKind.GPU, LineItemKind.CPU, LineItemKind.MEMORY)],
        *[(kind, Phase.WAITING) for kind in (LineItemKind.GPU, LineItemKind.CPU, LineItemKind.MEMORY)],
        (LineItemKind.DEEPGRAM, None),
        (LineItemKind.EGRESS, None),
    ]
    assert bill.usd_of(phase=Phase.WAITING) == pytest.approx(5 * instance_second_usd(L4, book))
    assert bill.usd_of(kind=LineItemKind.CPU) == pytest.approx(15 * 4 * 0.1)
    assert bill.usd_of(kind=LineItemKind.CPU, phase=Phase.WAITING) == pytest.approx(5 * 4 * 0.1)
    assert bill.usd_of(kind=LineItemKind.DEEPGRAM) == pytest.approx(0.6)
    assert sum(bill.usd_of(kind=kind) for kind in LineItemKind) == pytest.approx(bill.usd)


def test_a_shape_names_what_the_model_runs_on() -> None:
    assert (L4.device, CPU.device) == ("nvidia-l4", "cpu")


@given(st.lists(st.floats(0, 1e5), max_size=8))
def test_parts_cost_what_the_whole_costs(parts: list[float]) -> None:
    book = price_book()
    bills = [instance_bill(L4, {Phase.WAITING: seconds}, book) for seconds in parts]
    whole = math.fsum(parts) * instance_second_usd(L4, book)
    assert total(bills).usd == pytest.approx(whole, rel=1e-9, abs=1e-12)
    assert sum(bills, Bill()).items == total(bills).items


def test_nothing_spent_is_an_empty_bill() -> None:
    assert total([]) == Bill()
    assert Bill().usd == 0


def test_an_unknown_price_is_an_error_that_names_the_known_ones(book: PriceBook) -> None:
    with pytest.raises(UnknownPrice) as caught:
        instance_bill(JobShape(gpu="nvidia-h100", vcpu=1, memory_gib=1), {Phase.WAITING: 1}, book)
    assert str(caught.value) == "the price book has no [gpu_second] line for 'nvidia-h100' (it has: nvidia-l4)"
    with pytest.raises(UnknownPrice, match="nova-9"):
        deepgram_bill("nova-9", 1, 0, book)
    empty = book.model_copy(update={"gpu_second": {}})
    with pytest.raises(UnknownPrice, match="it has: none"):
        empty.gpu_second_usd("nvidia-l4")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("usd = 2", "usd = -2"),
        ("usd = 2", "usd = inf"),
        ("usd = 2", "usd = nan"),
        ("usd = 2", 'usd = "much"'),
        ('usd = 2, source = "s"', 'usd = 2, source = ""'),
        ('usd = 2, source = "s"', "usd = 2"),
        ("schema_version = 1", "schema_version = 2"),
        ("2026-08-01", '"last year"'),
        ("\ngib_second", "\ngb_second"),
        ("egress_gib", "egress_gb"),
        ("[deepgram_minute]", "[assembly_minute]"),
    ],
)
def test_a_malformed_book_is_refused(path: Path, old: str, new: str) -> None:
    assert old in BOOK
    path.write_text(BOOK.replace(old, new))
    with pytest.raises(ValidationError):
        PriceBook.load(path)


def test_a_book_of_before_speakers_had_a_price_has_the_shipped_one(path: Path) -> None:
    shipped = PriceBook.load().deepgram_speakers_minute_usd()
    assert PriceBook.load(path).deepgram_speakers_minute_usd() == shipped > 0
    path.write_text(BOOK + '[deepgram_speakers_minute]\nusd = 0.5\nsource = "s"\n')
    assert PriceBook.load(path).deepgram_speakers_minute_usd() == 0.5


def test_a_deployment_may_bring_its_own_book(path: Path, make_services: MakeServices) -> None:
    services = make_services(PRICE_BOOK=str(path), DEEPGRAM_MIP_OPT_OUT="false")
    assert services.prices.deepgram_minute_usd("nova-3") == 0.6


def test_who_forbids_deepgram_to_train_on_recordings_pays_the_price_without_that_discount(
    path: Path, make_services: MakeServices
) -> None:
    assert make_services().prices.deepgram_minute_usd("nova-3") == 0.0043
    assert make_services(DEEPGRAM_MIP_OPT_OUT="false").prices.deepgram_minute_usd("nova-3") == 0.0043
    path.write_text(BOOK + '\n[deepgram_minute_opted_out]\nnova-3 = { usd = 0.9, source = "s" }\n')
    services = make_services(PRICE_BOOK=str(path), DEEPGRAM_MIP_OPT_OUT="true")
    assert services.prices.deepgram_minute_usd("nova-3") == 0.9


def test_a_book_without_that_price_is_no_book_for_who_opts_out(path: Path, make_services: MakeServices) -> None:
    with pytest.raises(UnusablePriceBook, match=r"DEEPGRAM_MODEL: .*\[deepgram_minute_opted_out\]"):
        make_services(PRICE_BOOK=str(path))


def test_a_deployment_whose_deepgram_model_has_no_price_does_not_start(make_services: MakeServices) -> None:
    with pytest.raises(UnusablePriceBook, match=r"DEEPGRAM_MODEL: .*'nova-9'"):
        make_services(DEEPGRAM_MODEL="nova-9")


def test_a_deployment_whose_gpu_has_no_price_does_not_start(make_services: MakeServices) -> None:
    with pytest.raises(UnusablePriceBook, match=r"JOB_GPU: .*'nvidia-h100'"):
        make_services(JOB_GPU="nvidia-h100")
    make_services(JOB_GPU="nvidia-h100", GPU_JOB="", CPU_JOB=CPU_JOB)


def test_prices_at_second_hand_say_so() -> None:
    book = price_book()
    deepgram = [*book.deepgram_minute.values(), *book.deepgram_minute_opted_out.values()]
    deepgram += filter(
        None, [book.deepgram_speakers_minute, book.deepgram_keyterms_minute, book.deepgram_redaction_minute]
    )
    assert [price.source for price in deepgram if not price.unverified] == []
    google = [book.cloud_run.vcpu_second, book.cloud_run.gib_second, book.cloud_storage.egress_gib]
    assert not any(price.unverified for price in (*google, *book.gpu_second.values()))
