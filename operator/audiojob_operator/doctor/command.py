"""The command ``doctor``: reads the operator's settings, looks, prints the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NoReturn

from audiojob_kube.client import connect
from audiojob_kube.config import load_connection
from audiojob_operator.doctor.cluster import check_cluster
from audiojob_operator.doctor.facts import Facts, Unseen
from audiojob_operator.doctor.findings import Finding, exit_code, render
from audiojob_operator.doctor.gather import Doctor
from audiojob_operator.doctor.namespaces import check_namespaces
from audiojob_operator.settings import OperatorSettings
from audiojob_types.constants import MANAGER_OPERATOR

_USER_AGENT: Final = "audiojob-doctor"
_EXIT_USAGE: Final = 64


class _Parser(argparse.ArgumentParser):
    """A wrong command line ends with 64, as wrong settings do."""

    def error(self, message: str) -> NoReturn:
        self.exit(_EXIT_USAGE, f"audiojob-operator doctor: {message}\n")


def examine(facts: Facts, settings: OperatorSettings, now: datetime) -> list[Finding]:
    """All findings. ``now`` is used where the API server told no time of its own."""
    server = facts.server
    if isinstance(server, Unseen):
        return list(check_cluster(facts, settings, now))
    moment = server.date or now
    return [*check_cluster(facts, settings, moment), *check_namespaces(facts, settings)]


async def doctor(arguments: Sequence[str], settings: OperatorSettings) -> int:
    """Print the report; 0 if there is no fault, else 1. Raises ConfigError when no cluster is configured."""
    parser = _Parser("audiojob_operator doctor", description=__doc__)
    parser.add_argument("--api", default="", metavar="URL", help="the readiness probe of audiojob's API, to ask it too")
    asked = parser.parse_args(arguments)
    connection = load_connection(settings.kubeconfig, settings.context)
    client = connect(connection, user_agent=_USER_AGENT, field_manager=MANAGER_OPERATOR)
    account = f"system:serviceaccount:{settings.lease.namespace}:{settings.lease.name}"
    try:
        facts = await Doctor(client, connection, settings, account, asked.api).look()
    finally:
        await client.aclose()
    findings = examine(facts, settings, datetime.now(UTC))
    print(render(findings))
    return exit_code(findings)
