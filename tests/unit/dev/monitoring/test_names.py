"""Rules, panels and runbooks ask for nothing that nobody shows: metrics, labels, and words of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import yaml

from audiojob_dev.monitoring.alerts import RECORDINGS
from audiojob_dev.monitoring.dashboards import DASHBOARDS
from audiojob_dev.monitoring.names import PROCESS, described, faults, known
from audiojob_dev.monitoring.promql import grouped_by, selectors
from audiojob_dev.paths import repository
from audiojob_types.outside.metric import Description

CHART = repository() / "charts" / "audiojob"
RUNBOOKS = repository() / "docs" / "runbooks"
DESCRIBED = described()


@dataclass(frozen=True)
class Used:
    """A query, where it stands, and the text that shows labels of its result."""

    where: str
    query: str
    shown: str = ""


def of_rules() -> Iterator[Used]:
    """From the file in the chart, so that what is checked is what is installed."""
    text = (CHART / "files" / "monitoring" / "rules.yaml").read_text(encoding="utf-8")
    text = text.replace("${namespace}", "system").replace("${runbookURL}", "docs")
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            annotations = rule.get("annotations", {})
            yield Used(
                rule.get("alert") or rule["record"],
                re.sub(r"\$\{\w+\}", "1", rule["expr"]),
                " ".join((annotations.get("summary", ""), annotations.get("description", ""))),
            )


def of_panels() -> Iterator[Used]:
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                yield Used(f"{dashboard.uid}: {panel.title}", query.expr, query.legend)


def of_examples() -> Iterator[Used]:
    for file in sorted((repository() / "examples" / "autoscaling").glob("keda-*.yaml")):
        for each in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            for trigger in each["spec"]["triggers"] if each["kind"] == "ScaledObject" else ():
                yield Used(file.name, trigger["metadata"]["query"])


def of_runbooks() -> Iterator[Used]:
    for page in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                yield Used(page.stem, line)


USED = [*of_rules(), *of_panels(), *of_examples(), *of_runbooks()]
RECORDED = [(each.name, grouped_by(each.query) - {"le"}) for each in RECORDINGS]
NAMES = known(DESCRIBED, RECORDED)
ASKED = {selector.name for used in USED for selector in selectors(used.query)}


@pytest.mark.parametrize("used", [pytest.param(each, id=f"{each.where}: {each.query}"[:150]) for each in USED])
def test_a_query_uses_names_that_there_are(used: Used) -> None:
    assert list(selectors(used.query))
    assert list(faults(used.query, NAMES, used.shown)) == []


@pytest.mark.parametrize("about", [pytest.param(each, id=each.name) for each in DESCRIBED])
def test_a_metric_that_is_looked_at_cannot_be_renamed_unnoticed(about: Description) -> None:
    others = [each for each in DESCRIBED if each is not about]
    renamed = known([*others, replace(about, name=about.name.replace("audiojob_", "audiojobs_"))], RECORDED)
    broken = [each.where for each in USED if about.name in each.query and list(faults(each.query, renamed, each.shown))]
    asked = {name for name in known([about]) if name in ASKED} - set(PROCESS)
    assert bool(broken) is bool(asked)


@pytest.mark.parametrize("about", [pytest.param(each, id=each.name) for each in DESCRIBED if each.labels])
def test_a_metric_that_loses_its_labels_is_noticed(about: Description) -> None:
    others = [each for each in DESCRIBED if each is not about]
    bare = known([*others, replace(about, labels=())], RECORDED)
    asked_for = [used for used in USED if any(each.name.startswith(about.name) for each in selectors(used.query))]
    by_label = [used for used in asked_for if set(about.labels) & labels_in(used)]
    assert not by_label or [used for used in by_label if list(faults(used.query, bare, used.shown))]


def labels_in(used: Used) -> set[str]:
    matched = {matcher.label for selector in selectors(used.query) for matcher in selector.matchers}
    return grouped_by(used.query) | matched


WRONG = {
    "a metric that nobody shows": ("audiojob_operator_leader == 1", "", "no metric is called audiojob_operator_leader"),
    "a label that the metric lacks": ('audiojob_operator_leading{queue="x"}', "", "has no label queue"),
    "a word that the label never has": ('audiojob_operator_audiojobs{state="Waiting"}', "", "state is never Waiting"),
    "one wrong word of several": (
        'audiojob_operator_audiojobs{reason=~"Held|Holding"}', "", "reason is never Holding",
    ),
    "grouping by a label that the metric lacks": (
        "sum by (queue) (audiojob_operator_leading)", "", "audiojob_operator_leading has no label queue",
    ),
    "grouping by a label that only the other metric has": (
        "sum by (state) (audiojob_operator_audiojobs) / sum by (state) (audiojob_operator_leading)", "",
        "audiojob_operator_leading has no label state",
    ),
    "a histogram without its suffix": ("rate(audiojob_operator_reconcile_seconds[5m])", "", "no metric is called"),
    "a legend with a label that was summed away": (
        "sum by (state) (audiojob_operator_audiojobs)", "{{reason}}", "leaves no label reason",
    ),
    "a sentence with a label that was summed away": (
        "sum by (state) (audiojob_operator_audiojobs)", "{{ $labels.reason }}", "leaves no label reason",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("query", "shown", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_found(query: str, shown: str, words: str) -> None:
    found = list(faults(query, NAMES, shown))
    assert len(found) == 1
    assert words in found[0]
