"""Rules, alerts and their runbooks: what the chart has is what is described, and each alert is of use to a person."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from audiojob_dev.monitoring import generate, rulefile
from audiojob_dev.monitoring.alerts import ALERTS, RECORDINGS, THRESHOLDS
from audiojob_dev.monitoring.model import Alert, Threshold
from audiojob_dev.paths import repository

ROOT = repository()
CHART = ROOT / "charts" / "audiojob"
RUNBOOKS = ROOT / "docs" / "runbooks"
GUIDE = ROOT / "docs" / "monitoring.md"
SECTIONS = ["## Look", "## Mend", "## Silence"]
alerts = pytest.mark.parametrize("alert", [pytest.param(each, id=each.full_name) for each in ALERTS])


def test_the_chart_has_what_the_code_says() -> None:
    stale = [str(path) for path, text in generate.files().items() if (CHART / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make generate`"
    there = {path.relative_to(CHART) for path in (CHART / generate.FOLDER).rglob("*.*")}
    assert there == generate.files().keys()
    for name, change in (("values.yaml", generate.with_thresholds), ("values.schema.json", generate.with_members)):
        text = (CHART / name).read_text(encoding="utf-8")
        assert change(text) == text, "run `make generate`"


def test_values_without_the_comments_are_refused() -> None:
    with pytest.raises(ValueError, match="comments around the thresholds"):
        generate.with_thresholds("monitoring: {}\n")


def test_names_are_there_once() -> None:
    for names in (
        [each.full_name for each in ALERTS],
        [each.name for each in RECORDINGS],
        [each.name for each in THRESHOLDS],
    ):
        assert len(names) == len(set(names))


def test_the_rule_file_has_every_number_and_no_placeholder() -> None:
    text = rulefile.filled("audiojob-system")
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDINGS)
    assert all('namespace="audiojob-system"' in rule["expr"] for rule in rules)
    assert not any("${" in str(rule) for rule in rules)


@pytest.fixture(scope="module")
def rules() -> dict[str | None, Any]:
    """Those of the template, by their alerts."""
    groups = yaml.safe_load(rulefile.template())["groups"]
    return {rule.get("alert"): rule for group in groups for rule in group["rules"]}


@alerts
def test_what_changes_with_time_stands_in_annotations(alert: Alert, rules: dict[str | None, Any]) -> None:
    """A label with a value in it makes another alert of each evaluation, and none lasts."""
    assert rules[alert.full_name]["labels"] == {"severity": alert.severity, "namespace": "${namespace}"}


@alerts
def test_a_count_begins_at_3_or_is_any_at_all(alert: Alert) -> None:
    """`increase` extrapolates to the whole window: one event may count as 1.3, two as 2.6."""
    counts = [each.default for each in alert.thresholds if "increase(" in alert.when and each.default >= 1]
    assert all(count >= 3 for count in counts)


@alerts
def test_an_alert_says_what_it_is_about(alert: Alert) -> None:
    assert re.fullmatch(r"[A-Z].*\.", alert.summary)
    assert re.fullmatch(r"[A-Z{].*\.", alert.description)
    assert "{{" not in alert.summary
    assert alert.severity == "warning" or alert.lasts not in ("0m", "1m"), "nobody gets up for what is over in a minute"


# ---------------------------------------------------------------- runbooks


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == {each.full_name for each in ALERTS}


@alerts
def test_a_page_says_what_to_do(alert: Alert) -> None:
    text = (RUNBOOKS / f"{alert.full_name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {alert.full_name}\n\n**Means.** ")
    assert "\n**Who feels it.** " in text
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    look = text.partition("## Look")[2].partition("## Mend")[0]
    assert "```sh\n" in look
    assert "```promql\n" in look
    assert "\n- " in text.partition("## Mend")[2].partition("## Silence")[0]


def test_the_guide_lists_every_alert_and_record() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    listed = re.findall(r"\[(\w+)\]\(runbooks/(\w+)\.md\)", guide)
    assert sorted(listed) == sorted((each.name, each.full_name) for each in ALERTS)
    assert [each.name for each in RECORDINGS if each.name not in guide] == []


# ---------------------------------------------------------------- descriptions

WRONG_THRESHOLDS = {
    "a name that is no value of the chart": ("wait-long", 1.0, "is called like a value"),
    "less than nothing": ("waitLong", -1.0, "from 0 up"),
    "no number": ("waitLong", float("nan"), "from 0 up"),
}


@pytest.mark.parametrize(("name", "default", "words"), WRONG_THRESHOLDS.values(), ids=WRONG_THRESHOLDS)
def test_a_wrong_threshold_is_refused(name: str, default: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Threshold(name, default, "text")


def test_an_alert_with_a_threshold_that_it_does_not_use_is_refused() -> None:
    with pytest.raises(ValueError, match="other thresholds"):
        Alert("A", "warning", "5m", "up > ${a}", "S.", "D.", (Threshold("b", 1, "text"),))
