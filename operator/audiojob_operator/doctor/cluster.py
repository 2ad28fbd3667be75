"""Checks of what the whole installation needs: API server, CRDs, rights, leader, nodes, monitoring, API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.doctor.facts import ApiAnswer, Facts, Permission, Seen, SeenList, ServerAnswer, Unseen
from audiojob_operator.doctor.findings import Finding, fault, note, ok, unseen, warning
from audiojob_operator.doctor.schema import fields_of, fields_served
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.state.projections import project_node
from audiojob_operator.watching.preflight import explain
from audiojob_types.base import format_time
from audiojob_types.constants import RELEASE, VERSION

OLDEST_KUBERNETES: Final = (1, 31)
# The Date header has whole seconds, and Lease and certificates bear a few of them.
_SKEW: Final = timedelta(seconds=5)
_SLOW: Final = timedelta(seconds=1)
_NAMED: Final = 5  # of a longer list
_HTTP_OK: Final = 200


def check_server(server: ServerAnswer | Unseen) -> Iterator[Finding]:
    """It answers, soon, is new enough, and its clock is ours."""
    about = "API server"
    if isinstance(server, Unseen):
        yield fault(about, f"cannot be reached ({server.why}).", "Check its address, the network, and that it runs.")
        return
    if (minor := _minor(server.version)) is not None and minor < OLDEST_KUBERNETES:
        oldest = ".".join(map(str, OLDEST_KUBERNETES))
        yield fault(about, f"is Kubernetes {server.version}; audiojob needs {oldest}.", "Upgrade the cluster.")
    took = server.answered - server.asked
    if took > _SLOW:
        yield warning(
            about,
            f"took {took.total_seconds():.1f} s to answer the simplest request.",
            "Look at its load and at etcd's disk; the operator's Lease needs an answer within seconds.",
        )
    else:
        yield ok(about, f"Kubernetes {server.version or 'of unknown version'} answers.")
    if server.date is None:
        yield unseen("clock", "the API server's answer carries no date.")
        return
    early, late = server.asked - server.date, server.answered - server.date
    off = early if early > timedelta() else min(late, timedelta())
    if abs(off) > _SKEW:
        side = "ahead of" if off > timedelta() else "behind"
        yield warning(
            "clock",
            f"this process is {abs(off).total_seconds():.0f} s {side} the API server.",
            "Run a time service (chrony, systemd-timesyncd) on every node: deadlines and waits use these clocks.",
        )
    else:
        yield ok("clock", "this process and the API server agree.")


def _minor(version: str) -> tuple[int, int] | None:
    parts = version.removeprefix("v").split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and all(part.isdecimal() for part in parts[:2]) else None


def check_crds(crds: dict[str, Seen]) -> Iterator[Finding]:
    """Each is there, serves our version, and has every field that this version writes."""
    way_out = "Apply the CRDs of this version: kubectl apply --server-side --force-conflicts -f crds/"
    well = 0
    for name, crd in crds.items():
        if isinstance(crd, Unseen):
            yield unseen("CRDs", f"{name} may not be read ({crd.why}).", "Run `helm test`, whose account may.")
            continue
        served = None if crd is None else fields_served(crd)
        if crd is None:
            yield fault("CRDs", f"{name} is not there.", way_out)
        elif served is None:
            yield fault("CRDs", f"{name} does not serve {VERSION}.", way_out)
        elif lacking := sorted(fields_of(name) - served):
            yield fault(
                "CRDs",
                f"{name} is older than audiojob {RELEASE}: it lacks {_list(lacking)}, which the API server drops.",
                way_out,
            )
        elif newer := sorted(served - fields_of(name)):
            yield note("CRDs", f"{name} is newer than audiojob {RELEASE}: it has {_list(newer)}, which is harmless.")
        else:
            well += 1
    if well:
        yield ok("CRDs", f"{well} of {len(crds)} are those of audiojob {RELEASE}.")


def check_permissions(permissions: Iterable[Permission], settings: OperatorSettings) -> Iterator[Finding]:
    """Every account may do what its part needs."""
    by_account: dict[str, list[Permission]] = {}
    for permission in permissions:
        by_account.setdefault(permission.account, []).append(permission)
    for account, asked in by_account.items():
        about = f"rights of the {account}"
        unknown = next((each.allowed for each in asked if isinstance(each.allowed, Unseen)), None)
        lacking = [each.access for each in asked if each.allowed is False]
        if lacking:
            yield fault(about, explain(lacking, settings), "")
        elif unknown is not None:
            yield unseen(about, f"cannot be asked for ({unknown.why}).", "Run `helm test`, whose account may ask.")
        else:
            yield ok(about, f"all {len(asked)} are given.")


def check_leader(lease: Seen, settings: OperatorSettings, now: datetime) -> Iterator[Finding]:
    """One operator leads, and its clock is not ahead."""
    about, name = "operator", f"{settings.lease.namespace}/{settings.lease.name}"
    look = f"Look at its pods and their log: kubectl -n {settings.lease.namespace} get pods, then logs."
    if isinstance(lease, Unseen):
        yield unseen(about, f"its Lease {name} may not be read ({lease.why}).")
        return
    spec = (lease or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), _time(spec.get("renewTime"))
    if not holder or renewed is None:
        yield fault(about, f"nobody holds the Lease {name}: no operator works.", look)
        return
    age = now - renewed
    if age > timedelta(seconds=float(spec.get("leaseDurationSeconds") or settings.lease.duration_seconds)):
        yield fault(about, f"the Lease {name} was last renewed at {format_time(renewed)}: no operator works.", look)
    elif age < -_SKEW:
        yield warning(
            about,
            f"its clock is {-age.total_seconds():.0f} s ahead of the API server.",
            "Run a time service (chrony, systemd-timesyncd) on its node.",
        )
    else:
        yield ok(about, f"{holder} leads.")


def check_gpus(nodes: SeenList) -> Iterator[Finding]:
    """Nodes are Ready; GPUs are offered."""
    if nodes is None or isinstance(nodes, Unseen):
        yield unseen("nodes", f"may not be read ({nodes.why if nodes else 'no such type'}).")
        return
    rows = [project_node(node) for node in nodes]
    ready = [row for row in rows if row.ready]
    if not ready:
        yield fault("nodes", f"none of {len(rows)} is Ready and schedulable.", "Look at kubectl get nodes.")
        return
    yield ok("nodes", f"{len(ready)} of {len(rows)} are Ready and schedulable.")
    gpus = sum((Counter(row.gpus) for row in ready), Counter[str]())
    if gpus:
        names = ", ".join(f"{count} {name}" for name, count in sorted(gpus.items()))
        yield ok("GPUs", f"{names} are offered by {sum(bool(row.gpus) for row in ready)} nodes.")
    else:
        yield note(
            "GPUs",
            "no Ready node offers one: phases with device Auto run on the CPU, those with device GPU wait.",
            "If there are GPUs, look for the device plugin: kubectl describe node, under Allocatable.",
        )


def check_monitors(monitors: SeenList) -> Iterator[Finding]:
    """Something scrapes the metrics."""
    about = "monitoring"
    if isinstance(monitors, Unseen):
        yield unseen(about, f"PodMonitors may not be read ({monitors.why}).")
    elif monitors is None:
        yield note(about, "the Prometheus operator is not installed.", "Scrape the operator's port 8080 otherwise.")
    elif not monitors:
        yield note(about, "the release's namespace has no PodMonitor.", "Set monitoring.podMonitor.enabled to true.")
    else:
        yield ok(about, f"{_list(sorted(each['metadata']['name'] for each in monitors))} in the release's namespace.")


def check_api(answer: ApiAnswer | None) -> Iterator[Finding]:
    """The API is ready."""
    if answer is None:
        return
    if answer.status == _HTTP_OK:
        yield ok("API", f"{answer.url} is ready.")
    elif answer.status == 0:
        yield fault(
            "API",
            f"{answer.url} cannot be reached ({answer.text}).",
            "Look at its pods and Service, and at NetworkPolicies in between.",
        )
    else:
        yield fault("API", f"{answer.url} answered {answer.status}: {answer.text}", "Look at the log of its pods.")


def check_cluster(facts: Facts, settings: OperatorSettings, now: datetime) -> Iterator[Finding]:
    """All of this module. ``now``: the time by the API server's clock."""
    yield from check_server(facts.server)
    if isinstance(facts.server, Unseen):
        return  # nothing else could be read
    yield from check_crds(dict(facts.crds))
    yield from check_permissions(facts.permissions, settings)
    yield from check_leader(facts.lease, settings, now)
    yield from check_gpus(facts.nodes)
    yield from check_monitors(facts.monitors)
    yield from check_api(facts.api)


def _list(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
