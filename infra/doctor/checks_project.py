"""Checks of what comes before a deployment: APIs, region, quota, prices."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from urllib.parse import quote

from pydantic import ValidationError

from infra.doctor.checks_deepgram import CALLBACK_URL
from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, ok, or_ok, warn
from infra.doctor.google import Google, Unanswered
from infra.doctor.names import DEVICES, Names
from infra.doctor.parallel_executions import NO_LIMIT, Quotas, demands, lines_to_add, what_is_held
from infra.doctor.resources import QuotaInfo, Services
from shared.costs.bill import instance_second_usd
from shared.costs.prices import JobShape, PriceBook

APIS = (
    "artifactregistry", "bigquery", "billingbudgets", "cloudbuild", "cloudfunctions", "cloudresourcemanager",
    "cloudscheduler", "eventarc", "iam", "iamcredentials", "logging", "monitoring", "pubsub", "run", "secretmanager",
    "storage",
)  # fmt: skip
"""Those of terraform/apis.tf; a test compares them."""

L4_REGIONS = ("asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4")
L4_REGIONS_BY_INVITATION = ("asia-south1",)
L4_REGIONS_DOUBTFUL = ("us-central1",)
"""By invitation in one copy of the page, for everybody in another."""
L4_REGIONS_READ_ON = date(2026, 11, 21)
L4_REGIONS_SOURCE = "https://cloud.google.com/run/docs/configuring/jobs/gpu"
"""Read in stored copies of that page: Google may have more regions by now."""

GPU_QUOTA = "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion"
CPU_QUOTA = "CpuAllocPerProjectRegion"
MEMORY_QUOTA = "MemAllocPerProjectRegion"
"""Of Cloud Run, in thousandths of a vCPU and in bytes: 20 vCPU and 40 GiB in a new project (seen in October 2026)."""
MILLI_VCPU = 1000
GIB = 2**30
NEEDED_VCPU = 19
NEEDED_GIB = 35
"""What the defaults of terraform/variables.tf take for one execution of each job and every instance of the functions; a
test adds them up. How many further ones fit is found out by `parallel_executions.py`."""
CALLBACK_VCPU = 4
CALLBACK_GIB = 8
"""What every instance of the callbacks' function takes besides, where there is one."""
GPU_QUOTA_METRIC = "run.googleapis.com/nvidia_l4_gpu_allocation_no_zonal_redundancy"


def apis(context: Context) -> Iterator[Finding]:
    """Every API is on. Before a deployment Terraform still has to do it."""
    name = context.names.project
    asked = [f"projects/{name}/services/{api}.googleapis.com" for api in APIS]
    answer = context.google.get(
        Services, "serviceusage.googleapis.com", f"v1/projects/{name}/services:batchGet", {"names": asked}
    )
    on = {one.name.rpartition("/")[2] for one in answer.services if one.state == "ENABLED"}
    off = [api for api in APIS if f"{api}.googleapis.com" not in on]
    if not off:
        yield ok("APIs", f"All {len(APIS)} are enabled.")
        return
    enable = f"gcloud services enable {' '.join(f'{api}.googleapis.com' for api in off)} --project={name}"
    if context.deployed:
        yield fail("APIs", f"Not enabled: {', '.join(off)}.", enable)
    else:
        yield warn("APIs", f"Not enabled yet: {', '.join(off)}.", f"The deploy enables them; or: {enable}")


def region(context: Context) -> Iterator[Finding]:
    """Cloud Run has L4 GPUs there."""
    name = context.names.region
    others = ", ".join(other for other in L4_REGIONS if other != name and other not in L4_REGIONS_DOUBTFUL)
    if name in L4_REGIONS_DOUBTFUL:
        says = f"{name} has L4 GPUs, by invitation only in one copy of Google's list ({L4_REGIONS_READ_ON})."
        yield ok("region", f"{says} Where a GPU is refused: {others}. {L4_REGIONS_SOURCE}")
    elif name in L4_REGIONS:
        yield ok("region", f"{name} has L4 GPUs ({L4_REGIONS_READ_ON}).")
    elif name in L4_REGIONS_BY_INVITATION:
        yield warn("region", f"{name} has L4 GPUs by invitation only.", f"Ask Google's account team, or take {others}.")
    else:
        known = f"Known on {L4_REGIONS_READ_ON}: {', '.join(L4_REGIONS)}. {L4_REGIONS_SOURCE}"
        yield warn("region", f"{name} is not known to have L4 GPUs.", known)


def gpu_quota(context: Context) -> Iterator[Finding]:
    """At least one L4 without zonal redundancy, which is what jobs take (Cloud Quotas REST reference, QuotaInfo)."""
    names = context.names
    limit = limit_of(GPU_QUOTA, names, context.google)
    if limit == NO_LIMIT or limit > 0:
        yield ok("GPU quota", "No limit." if limit == NO_LIMIT else f"{limit} L4 at a time in {names.region}.")
        return
    says = f"{GPU_QUOTA} is 0 in {names.region}: no GPU job can start."
    if not context.deployed:
        yield warn("GPU quota", f"{says} The deploy leaves it out.", f"Ask for more: {quota_link(names)}")
    elif _wants_gpu(context):
        yield fail("GPU quota", says, f"Ask for more, and set gpu_enabled = false until then: {quota_link(names)}")
    else:
        yield warn("GPU quota", f"{says} None is asked to.", f"Ask for more before gpu_enabled: {quota_link(names)}")


def instance_quota(context: Context) -> Iterator[Finding]:
    """CPU and memory of what has to run at once: one execution of each job beside the functions' instances.

    And how many executions fit, beside how many the deployment asks for.
    """
    names, subject = context.names, "CPU and memory quota"
    vcpu, gib = limit_of(CPU_QUOTA, names, context.google), limit_of(MEMORY_QUOTA, names, context.google)
    quotas = Quotas(
        vcpu=vcpu if vcpu == NO_LIMIT else vcpu / MILLI_VCPU,
        gib=gib if gib == NO_LIMIT else gib / GIB,
        gpus=_gpus(context),
    )
    variables = _variables(context)
    # A GPU job without quota for one is the GPU quota's line.
    there = (one for one in DEVICES if not variables or f"{one.upper()}_JOB" in variables)
    jobs = demands((one for one in there if one != "gpu" or quotas.gpus != 0), variables)
    held, lines = what_is_held(jobs, quotas), lines_to_add(jobs, quotas)
    if vcpu == gib == NO_LIMIT and not lines:
        yield ok(subject, "No limit.")
        return
    called_back = CALLBACK_URL in variables
    needed_vcpu = NEEDED_VCPU + CALLBACK_VCPU * called_back
    needed_gib = NEEDED_GIB + CALLBACK_GIB * called_back
    says = f"{_amount(quotas.vcpu)} vCPU and {_amount(quotas.gib)} GiB at once in {names.region}"
    more = f"https://console.cloud.google.com/iam-admin/quotas?project={names.project}"
    if (0 <= quotas.vcpu < needed_vcpu) or (0 <= quotas.gib < needed_gib):
        smaller = "function.max_instances" + (" or callback_function.max_instances" if called_back else "")
        fix = f"Ask for more, or make the jobs or {smaller} smaller: {more}"
        yield warn(subject, f"{says}; the defaults take up to {needed_vcpu} and {needed_gib}. {held}", fix)
        return
    fits = f"{says}: one execution of each job and the functions fit, {needed_vcpu} and {needed_gib}. {held}"
    if lines:
        refused = "Cloud Run refuses what is more, and those that run do the work, later."
        yield warn(subject, f"{fits} {refused}", f"Add to VARS: {'; '.join(lines)}. Or ask for more: {more}")
    else:
        yield ok(subject, fits)


def _gpus(context: Context) -> int:
    """What the check of the GPU quota says; where that cannot be asked, it limits nothing here."""
    try:
        return limit_of(GPU_QUOTA, context.names, context.google)
    except Unanswered:
        return NO_LIMIT


def _amount(limit: float) -> str:
    return "any" if limit == NO_LIMIT else f"{limit:g}"


def _variables(context: Context) -> Mapping[str, str]:
    """The environment of a deployment's function; empty where it cannot be asked, or is not there yet."""
    try:
        return context.function("upload").service_config.environment_variables
    except Unanswered:
        return {}


def limit_of(quota: str, names: Names, google: Google) -> int:
    """A quota of Cloud Run in the deployment's region. Raises Unanswered."""
    path = f"v1/projects/{names.project}/locations/global/services/run.googleapis.com/quotaInfos/{quota}"
    return limit_in(names.region, google.get(QuotaInfo, "cloudquotas.googleapis.com", path))


def _wants_gpu(context: Context) -> bool:
    """Whether uploads of a deployment may go to the GPU job, as they may by default."""
    return _variables(context).get("ENABLE_GPU_TRANSCRIPTION") != "false"


def limit_in(region: str, quota: QuotaInfo) -> int:
    """The limit of a region: its own, or that of all regions without one. -1: none; 0 where nothing is said."""
    own = (info for info in quota.dimensions_infos if info.dimensions.get("region") == region)
    general = (info for info in quota.dimensions_infos if region in info.applicable_locations)
    return next((info.details.value for info in (*own, *general)), 0)


def quota_link(names: Names) -> str:
    """The console's page of the quota, filtered by metric and region.

    The filter's form is that of links in public documentation; the console documents none.
    """
    filters = (
        {"k": "Dimensions (e.g. location)", "t": 10, "v": f'"{names.region}"', "i": "displayDimensions"},
        {"k": "Metric", "t": 10, "v": f'"{GPU_QUOTA_METRIC}"', "s": True, "i": "metricName"},
    )
    text = quote(json.dumps(filters, separators=(",", ":")), safe="")
    for mark in ("22", "3A", "2C", "5C"):
        text = text.replace(f"%{mark}", f"_{mark}")
    state = f"(%22allQuotasTable%22:(%22f%22:%22{text.replace('%', '%25')}%22))"
    return f"https://console.cloud.google.com/iam-admin/quotas?pageState={state}&project={names.project}"


def price_book(context: Context) -> Iterator[Finding]:
    """Quotes and bills are made from prices that are still true, and of this region."""
    settings, path = context.settings, context.settings.price_book
    try:
        book = PriceBook.load(path)
    except (OSError, ValidationError, tomllib.TOMLDecodeError) as error:
        which = path or "The shipped one"
        yield fail("price book", f"{which} cannot be used ({type(error).__name__}).", "See shared/costs/prices.toml.")
        return
    yield from or_ok(_aged(book, context, settings.doctor_price_book_days), "price book", f"Read on {book.read_on}.")


def _aged(book: PriceBook, context: Context, most_days: int) -> Iterator[Finding]:
    days = (context.at.date() - book.read_on).days
    if days > most_days:
        says = f"Read on {book.read_on}, {days} days ago."
        yield warn("price book", says, "Compare its prices with their sources; PRICE_BOOK names another file.")
    if book.region != context.names.region:
        says = f"Its prices are those of {book.region}."
        yield warn("price book", says, f"PRICE_BOOK names a file with the prices of {context.names.region}.")


SHAPES = (JobShape(gpu="nvidia-l4", vcpu=4, memory_gib=16), JobShape(gpu="nvidia-l4", vcpu=8, memory_gib=32))
"""Of the GPU job: Google's minimum beside an L4, which is the default, and twice that."""


def job_prices(context: Context) -> Iterator[Finding]:
    """What a second of the GPU job costs in its usual shapes."""
    try:
        book = PriceBook.load(context.settings.price_book)
    except (OSError, ValidationError, tomllib.TOMLDecodeError):
        return  # the price book's own check says it
    prices = [
        f"{shape.vcpu:g} vCPU and {shape.memory_gib:g} GiB: ${usd:.6f}/s, ${usd * 3600:.2f}/h"
        for shape in SHAPES
        for usd in [instance_second_usd(shape, book)]
    ]
    yield ok("GPU job's price", f"With {'; with '.join(prices)}.")
