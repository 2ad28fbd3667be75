"""The rules by Prometheus' own tool: they parse, and each alert fires where it should and is quiet where it should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.rules.situations import SITUATIONS, Situation

from audiojob_dev.errors import DevError
from audiojob_dev.monitoring import rulefile
from audiojob_dev.monitoring.alerts import ALERTS
from audiojob_dev.monitoring.dashboards import panel_queries
from audiojob_dev.monitoring.scrape import configuration
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import debian

pytestmark = pytest.mark.chart

NAMESPACE = "audiojob-system"
TARGET = {"namespace": NAMESPACE, "pod": "operator-1"}


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The machine's own, or Debian's. Skipped where there is neither, and fails where CI is set."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    try:
        with Progress() as progress:
            return debian.prometheus(paths_from_environment(), progress) / "usr" / "bin" / "promtool"
    except DevError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def run(promtool: Path, *arguments: str | Path) -> str:
    """What promtool says; an assertion fails with it where it is not content."""
    command = [str(promtool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(rulefile.filled(NAMESPACE), encoding="utf-8")
    return file


def test_rules_parse_and_nothing_is_there_twice(promtool: Path, rules: Path) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)


def test_every_query_of_a_panel_parses(promtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "panels.yaml"
    queries = [
        {"record": f"panel:{number}", "expr": each.query} for number, each in enumerate(panel_queries(NAMESPACE))
    ]
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": queries}]}), encoding="utf-8")
    assert f"{len(queries)} rules found" in run(promtool, "check", "rules", file)


def test_the_configuration_of_make_monitoring_is_valid(promtool: Path, tmp_path: Path, rules: Path) -> None:
    targets, file = tmp_path / "targets.json", tmp_path / "prometheus.yml"
    targets.write_text("[]", encoding="utf-8")
    file.write_text(configuration([rules], targets, "5s"), encoding="utf-8")
    run(promtool, "check", "config", file)


def labelled(series: str) -> str:
    """A series with the labels that Prometheus adds to a scraped pod's."""
    name, _, labels = series.rstrip("}").partition("{")
    own = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return f"{name}{{{','.join(f'{label}={json.dumps(word)}' for label, word in {**TARGET, **own}.items())}}}"


def as_test(situation: Situation) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="Audiojob{situation.alert}",alertstate="firing"}}) > bool 0 or vector(0)'
    return {
        "name": f"{situation.alert}: {situation.about}",
        "interval": "1m",
        "input_series": [{"series": labelled(name), "values": values} for name, values in situation.series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{situation.minute}m",
                "exp_samples": [{"labels": "{}", "value": int(situation.fires)}],
            }
        ],
    }


def alone(alert: str) -> dict[str, Any]:
    """The rules without all other alerts, which would only take time."""
    content: dict[str, Any] = yaml.safe_load(rulefile.filled(NAMESPACE))
    for group in content["groups"]:
        group["rules"] = [each for each in group["rules"] if each.get("alert") in (None, f"Audiojob{alert}")]
    return content


def written(folder: Path, alert: str, tests: Iterable[dict[str, Any]]) -> Path:
    """A file of promtool's tests about one alert."""
    rules, file = folder / f"{alert}.yaml", folder / f"{alert}-test.yaml"
    rules.write_text(json.dumps(alone(alert)), encoding="utf-8")
    content = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": list(tests)}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_each_alert_fires_and_is_quiet_as_it_should(promtool: Path, tmp_path: Path) -> None:
    alerts = sorted({each.alert for each in SITUATIONS})
    of_alert = {name: [as_test(each) for each in SITUATIONS if each.alert == name] for name in alerts}
    run(promtool, "test", "rules", *(written(tmp_path, name, tests) for name, tests in of_alert.items()))


def test_no_alert_is_left_out() -> None:
    for fires in (True, False):
        assert {each.alert for each in SITUATIONS if each.fires is fires} == {each.name for each in ALERTS}


def test_a_situation_that_is_not_as_expected_is_noticed(promtool: Path, tmp_path: Path) -> None:
    situation = next(each for each in SITUATIONS if each.alert == "Degraded")
    wrong = replace(situation, fires=not situation.fires)
    with pytest.raises(AssertionError, match="FAILED"):
        run(promtool, "test", "rules", written(tmp_path, wrong.alert, [as_test(wrong)]))


def test_what_a_person_reads(promtool: Path, tmp_path: Path) -> None:
    situation = next(each for each in SITUATIONS if each.alert == "WatchSilent")
    expected = {
        "exp_labels": {"severity": "warning", "namespace": NAMESPACE, "pod": "operator-1", "watch": "jobs music"},
        "exp_annotations": {
            "summary": "The operator hears nothing from a watch.",
            "description": "operator-1 last heard of jobs music 5m 0s ago; a quiet one is heard from every 80 s.",
            "runbook_url": "docs/runbooks/AudiojobWatchSilent.md",
        },
    }
    told = {"eval_time": "10m", "alertname": "AudiojobWatchSilent", "exp_alerts": [expected]}
    test = {**as_test(situation), "alert_rule_test": [told]}
    run(promtool, "test", "rules", written(tmp_path, situation.alert, [test]))
