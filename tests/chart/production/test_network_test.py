"""``helm test`` of the NetworkPolicies: it notices a cluster that ignores them, and one that closes too much."""

from __future__ import annotations

import runpy
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.chart.helm import CHART, Helm, Object, find, of_kind

from audiojob_types import constants as c

pytestmark = pytest.mark.chart

VALUES: Object = {"jobNamespaces": ["music"], "networkPolicy": {"enabled": True}}
reach: Callable[..., int] = runpy.run_path(str(CHART / "files" / "reach.py"))["main"]


@pytest.fixture
def answering() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that is bound, so that nobody else gets it, and takes no connection."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_it_passes_where_policies_hold(answering: str, silent: str) -> None:
    assert reach(["open", answering, "closed", silent], patience=0) == 0


def test_row_14_it_fails_where_the_cni_ignores_policies(answering: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reach(["open", answering, "closed", answering], patience=0) == 1
    assert "the CNI ignores NetworkPolicy" in capsys.readouterr().out


def test_it_fails_where_what_phases_need_is_closed(silent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reach(["open", silent], patience=0) == 1
    assert "cannot be reached, though it must be" in capsys.readouterr().out


def test_what_must_be_closed_is_open_to_a_pod_without_policies_first(helm: Helm) -> None:
    objects = helm.render(VALUES, tests=True)
    found = [pod for pod in of_kind(objects, "Pod") if pod["metadata"]["name"].startswith("audiojob-network-test")]
    pods = sorted(found, key=lambda pod: int(pod["metadata"]["annotations"]["helm.sh/hook-weight"]))
    (control, phase), target = pods, "audiojob-network-test.audiojob-system.svc:8080"
    assert c.LABEL_EGRESS not in control["metadata"]["labels"]
    assert control["spec"]["containers"][0]["args"] == ["open", target]
    assert phase["metadata"]["labels"][c.LABEL_EGRESS] == "store"
    assert phase["spec"]["containers"][0]["args"][2:] == ["closed", target]
    service = find(objects, "Service", "audiojob-network-test")
    operator = find(objects, "Deployment", "audiojob-operator")
    assert service["spec"]["selector"] == operator["spec"]["selector"]["matchLabels"]
    assert {pod["metadata"]["namespace"] for pod in pods} == {"music"}


def test_there_is_none_without_policies(helm: Helm) -> None:
    pods = of_kind(helm.render({"jobNamespaces": ["music"]}, tests=True), "Pod")
    assert [pod["metadata"]["name"] for pod in pods] == ["audiojob-doctor"]
