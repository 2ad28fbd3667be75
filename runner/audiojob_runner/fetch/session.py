"""One fetching session: the limits, the secrets and the egress proxy that every fetching task starts with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import FetchLimits, FetchTools
from audiojob_runner.fetch.egress.addresses import parse_networks
from audiojob_runner.fetch.egress.proxy import EgressProxy, ProxyRules
from audiojob_runner.fetch.secrets import read_secrets
from audiojob_runner.task import TaskContext
from audiojob_types.contract import ExitCode, PhaseNetwork
from audiojob_types.outside.networks import AllowedNetwork
from audiojob_types.reasons import Reason


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of the source itself, and of all traffic including overhead."""

    source: FetchLimits
    total_bytes: int
    bytes_per_second: int | None = None
    finish_share: float = 0.0


@contextmanager
def fetch_session(limits: SessionLimits, context: TaskContext) -> Iterator[FetchTools]:
    """The tools for one fetch; the proxy runs while the context is open. Raises :class:`PhaseError`."""
    secrets = read_secrets(context.fetch_credentials)
    rules = ProxyRules(
        exceptions=exceptions(context.network),
        max_bytes=limits.total_bytes,
        bytes_per_second=limits.bytes_per_second,
        seconds=limits.source.max_seconds,
        upstream=secrets.upstream,
    )
    with EgressProxy(rules, context.log) as proxy:
        yield FetchTools(
            folder=context.work_dir,
            proxy_url=proxy.url,
            refusals=proxy.refusals,
            limits=limits.source,
            progress=context.progress,
            cancelled=context.cancelled,
            secrets=secrets,
            finish_share=limits.finish_share,
            job_uid=context.job_uid,
            keeping=context.keeping,
        )


def exceptions(network: PhaseNetwork) -> tuple[AllowedNetwork, ...]:
    """The networks that the administrator allows although they are private. Raises :class:`PhaseError`."""
    try:
        return parse_networks(network.allowed_cidrs if network.allowed is None else network.allowed)
    except ValueError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The administrator's network exceptions are not valid: {error}.",
            "Ask the administrator to correct fetch.allowedCIDRs.",
        ) from error
