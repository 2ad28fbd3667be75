"""The names of all metrics: written once, and on the page that alerts and dashboards are made from."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from audiojob_api.http import metrics as api
from audiojob_api.http.metrics import ApiMetrics
from audiojob_dev.metrics_page import metrics_page
from audiojob_dev.paths import repository
from audiojob_operator.metrics import table
from audiojob_operator.metrics.registry import Metrics
from audiojob_types.outside.metric import RESERVED_LABELS, Description

PAGE = repository() / "docs" / "metrics.md"
DESCRIBED = [
    pytest.param(module, constant, about, id=about.name)
    for module in (table, api)
    for constant, about in vars(module).items()
    if isinstance(about, Description)
]


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_page(), f"python -m audiojob_dev.metrics_page {PAGE}"


@pytest.mark.parametrize(("module", "constant", "about"), DESCRIBED)
def test_a_metric_cannot_be_renamed_unnoticed(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, constant: str, about: Description
) -> None:
    monkeypatch.setattr(module, constant, replace(about, name=about.name.replace("audiojob_", "audiojobs_")))
    assert PAGE.read_text(encoding="utf-8") != metrics_page()


def test_programs_show_what_is_described_and_nothing_else() -> None:
    for metrics in (Metrics(), ApiMetrics()):
        exposed = {(family.name, family.type, family.documentation) for family in metrics.registry.collect()}
        described = {(each.name.removesuffix("_total"), each.kind, each.text) for each in metrics.descriptions}
        assert exposed == described


def test_no_label_is_called_like_one_that_prometheus_adds() -> None:
    named = {label for metrics in (Metrics(), ApiMetrics()) for each in metrics.descriptions for label in each.labels}
    assert "job_namespace" in named
    assert named & RESERVED_LABELS == set()


WRONG = {
    "a label that Prometheus adds": ("x", "gauge", ("namespace",), ()),
    "a counter without _total": ("x", "counter", (), ()),
    "a gauge with _total": ("x_total", "gauge", (), ()),
    "a histogram without buckets": ("x", "histogram", (), ()),
    "a gauge with buckets": ("x", "gauge", (), (1.0,)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_description_that_no_scrape_could_use_is_refused(wrong: tuple) -> None:  # type: ignore[type-arg]
    name, kind, labels, buckets = wrong
    with pytest.raises(ValueError, match=f"^{name}: "):
        Description(name, kind, "text", labels, buckets)
