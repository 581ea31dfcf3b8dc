"""Both dashboards are their definition's, and every metric that they show exists by that name and with those labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from infra.dashboards.__main__ import FOLDER, rendered
from infra.dashboards.definition import PANELS
from infra.dashboards.grafana import NAMES
from infra.dashboards.page import page
from infra.dashboards.promql import google_metric_name, prometheus_name
from infra.dashboards.queries import GoogleMetric, Level, Query, is_in_logs, own_metrics_of, sums_of
from shared.telemetry.metrics import CATALOGUE, Counter, Histogram, Metric
from tests.support.google_metrics import DISTRIBUTION, GOOGLE_METRICS

GRAFANA = json.loads((FOLDER / "grafana.json").read_text())
TILES = json.loads((FOLDER / "cloud_monitoring.json").read_text())["mosaicLayout"]["tiles"]
TARGETS = [target for panel in GRAFANA["panels"] for target in panel["targets"]]
LINES = [line for panel in PANELS for line in panel.lines]
QUERIES: list[Query] = [*(line.query for line in LINES), *(line.exported for line in LINES if line.exported)]

SUFFIXES = re.compile(r"(_bucket|_sum|_count)$")


@pytest.mark.parametrize(("file", "text"), rendered().items(), ids=rendered())
def test_the_files_are_up_to_date(file: str, text: str) -> None:
    assert (FOLDER / file).read_text() == text, "run `python -m infra.dashboards`"


@dataclass(frozen=True)
class Exported:
    """A metric of ours on the page of OpenTelemetry's own exporter."""

    samples: frozenset[str]
    labels: frozenset[str]


@pytest.fixture(scope="module")
def exported() -> Mapping[str, Exported]:
    """Name in Prometheus -> what is exported there, of a page with every metric of the catalogue on it."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(True, scope_info_enabled=False, registry=registry)])
    for metric in CATALOGUE:
        record(provider.get_meter("test"), metric)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    page = {
        family.name: Exported(
            frozenset(sample.name for sample in family.samples),
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
        )
        for family in families
    }
    provider.shutdown()
    return page


def record(meter: Meter, metric: Metric) -> None:
    attributes = dict.fromkeys(metric.attributes, "x")
    match metric:
        case Counter():
            meter.create_counter(metric.name, metric.unit, metric.description).add(1, attributes)
        case Histogram():
            meter.create_histogram(metric.name, metric.unit, metric.description).record(1, attributes)
        case _:
            meter.create_observable_gauge(metric.name, [lambda _: [Observation(1, attributes)]], metric.unit)


def test_ours_have_the_names_of_opentelemetrys_exporter(exported: Mapping[str, Exported]) -> None:
    # The parser takes the ending off a counter's name.
    assert {prometheus_name(metric).removesuffix("_total") for metric in CATALOGUE} == exported.keys()


@pytest.mark.parametrize("target", TARGETS)
def test_grafana_asks_for_what_is_exported(target: Mapping[str, Any], exported: Mapping[str, Exported]) -> None:
    expression = target["expr"]
    asked = re.findall(r"\b(dropscribe_\w+)", expression)
    samples = {sample for one in exported.values() for sample in one.samples}
    assert set(asked) <= samples
    by = [name for names in re.findall(r"by \(([\w, ]+)\)", expression) for name in names.split(", ")]
    selected = [] if "googleapis" in expression else re.findall(r"(\w+)=", expression)
    families = [SUFFIXES.sub("", name).removesuffix("_total") for name in asked]
    for name in {*by, *selected} - {"le"}:
        assert not families or all(name in exported[family].labels for family in families)
    assert asked or "googleapis_com:" in expression


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_of_a_figure_that_can_be_asked_so(query: Query) -> None:
    for figure in own_metrics_of(query):
        assert figure.metric in CATALOGUE
    for one in sums_of(query):
        assert isinstance(one.figure.metric, Counter)
        assert {*one.by, *one.where} <= set(one.figure.metric.attributes)
    if isinstance(query, Level):
        assert query.gauge in CATALOGUE
    if isinstance(query, GoogleMetric):
        kind, source = GOOGLE_METRICS[query.metric]
        assert (query.quantile is not None) == (kind == DISTRIBUTION)
        assert source.startswith("https://cloud.google.com/")


def test_every_metric_of_the_catalogue_is_shown_but_for_the_parts_of_a_batch() -> None:
    shown = {figure.metric for query in QUERIES for figure in own_metrics_of(query)}
    shown |= {query.gauge for query in QUERIES if isinstance(query, Level)}
    assert {metric.name for metric in set(CATALOGUE) - shown} == {"dropscribe.batch.audio", "dropscribe.batch.time"}


def test_googles_metrics_are_named_as_promql_has_them() -> None:
    # The examples of Google's page "Mapping Cloud Monitoring metrics to PromQL".
    assert google_metric_name("kubernetes.io/container/cpu/limit_cores") == "kubernetes_io:container_cpu_limit_cores"
    assert google_metric_name("logging.googleapis.com/log_entry_count") == "logging_googleapis_com:log_entry_count"
    known = {google_metric_name(metric) for metric in GOOGLE_METRICS}
    asked = {name for target in TARGETS for name in re.findall(r"\w+_googleapis_com:\w+", target["expr"])}
    assert {name.removesuffix("_bucket") for name in asked} <= known
    assert asked


def test_what_has_no_line_in_the_logs_is_grafanas_alone() -> None:
    in_both = [panel.title for panel in PANELS if all(is_in_logs(line.query) for line in panel.lines)]
    assert [tile["widget"]["title"] for tile in TILES] == in_both
    assert [panel["title"] for panel in GRAFANA["panels"]] == [panel.title for panel in PANELS]
    assert 12 <= len(in_both) < len(PANELS)


def variables(value: object) -> set[str]:
    """`${name}` anywhere in a document."""
    return set(re.findall(r"\$\{(\w+)\}", json.dumps(value)))


def test_grafana_knows_its_variables_and_needs_all_of_them() -> None:
    known = {variable["name"] for variable in GRAFANA["templating"]["list"]}
    assert variables(GRAFANA["panels"]) == known
    assert known == {"metrics", "google", *NAMES}


def squares(places: Iterable[Mapping[str, int]], x: str, y: str, w: str, h: str) -> Iterator[tuple[int, int]]:
    for place in places:
        across = range(place.get(x, 0), place.get(x, 0) + place[w])
        down = range(place.get(y, 0), place.get(y, 0) + place[h])
        yield from ((column, row) for column in across for row in down)


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        (24, lambda: squares([panel["gridPos"] for panel in GRAFANA["panels"]], "x", "y", "w", "h")),
        (48, lambda: squares(TILES, "xPos", "yPos", "width", "height")),
    ],
    ids=["grafana", "cloud_monitoring"],
)
def test_no_panel_lies_on_another(columns: int, taken: Callable[[], Iterator[tuple[int, int]]]) -> None:
    places = list(taken())
    assert len(set(places)) == len(places)
    assert max(column for column, _ in places) < columns


def test_grafana_can_import_it() -> None:
    panels = GRAFANA["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert GRAFANA["schemaVersion"] >= 36  # the oldest with data sources as objects
    sources = {json.dumps(one["datasource"]) for panel in panels for one in (panel, *panel["targets"])}
    assert sources == {json.dumps({"type": "prometheus", "uid": f"${{{name}}}"}) for name in ("metrics", "google")}
    for panel in panels:
        assert [target["refId"] for target in panel["targets"]] == ["A", "B"][: len(panel["targets"])]


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert Path("docs/metrics.md").read_text() == page(), "run `python -m infra.dashboards.page > docs/metrics.md`"
