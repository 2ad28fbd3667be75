"""The ValidatingAdmissionPolicy for addresses of sources, generated as a template of the chart.

``python -m audiojob_types.generate.address_policy FILE`` writes it. It refuses AudioJobs whose URL names an address
that is not public, unless the administrator allows its network. That depends on values, so the CRD cannot say it.
Only creation is looked at: a source never changes, and a job must not get stuck because the values changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from audiojob_types.generate.admission_policy import policy_of, template, write
from audiojob_types.outside.networks import DEFAULT_PORTS
from audiojob_types.resources.urlrules import PRIVATE_NETWORKS, host_of

NAME: Final = "audiojob-source-address"
# JSON of strings is CEL too. The values' schema admits nothing that would end a string of YAML or CEL.
_FROM_VALUES: Final = "{{ toJson .Values.fetch.allowedCIDRs }}"
_CONTAINS: Final = "cidr(n).containsIP(variables.host)"
# An entry is a network and perhaps a port, ``10.20.0.7/32:8080`` or ``10.20.0.0/16:*``; each as text.
_NETWORK: Final = "n.find('^[^/]*/[0-9]+')"
_ENTRY_PORT: Final = "n.find(':([0-9]+|[*])$')"
_DEFAULT_PORTS: Final = ", ".join(f"':{port}'" for port in sorted(DEFAULT_PORTS))
_OPENS: Final = (
    f"({_ENTRY_PORT} == '' ? variables.port in [{_DEFAULT_PORTS}] : {_ENTRY_PORT} in [':*', variables.port])"
)


def policy(allowed: Iterable[str]) -> dict[str, Any]:
    """The policy of a chart whose ``fetch.allowedCIDRs`` are ``allowed``."""
    return _policy(json.dumps(list(allowed), separators=(",", ":")))


def _policy(allowed: str) -> dict[str, Any]:
    networks = ", ".join(f"'{network}'" for network in PRIVATE_NETWORKS)
    return policy_of(
        NAME,
        {"operations": ["CREATE"], "resources": ["audiojobs"]},
        variables=[
            {"name": "url", "expression": "object.spec.?source.?url.orValue('')"},
            {"name": "host", "expression": host_of("variables.url")},
            {
                "name": "port",
                "expression": (
                    "[variables.url.find('^https?://[^/?#]*').find(':[0-9]*$')].map(p, p in ['', ':'] ? "
                    "(variables.url.startsWith('https:') ? ':443' : ':80') : p)[0]"
                ),
            },
            {"name": "private", "expression": f"[{networks}]"},
            {"name": "allowed", "expression": allowed},
        ],
        validations=[
            {
                # The schema admits networks that are none to the API server, such as 1::2::/64: they allow nothing.
                "expression": (
                    f"!isIP(variables.host) || !variables.private.exists(n, {_CONTAINS}) || "
                    f"variables.allowed.exists(n, isCIDR({_NETWORK}) && "
                    f"cidr({_NETWORK}).containsIP(variables.host) && {_OPENS})"
                ),
                "message": "spec.source.url: the address is not public",
                # The API takes the field from the beginning.
                "messageExpression": (
                    "'spec.source.url: ' + variables.host + ' is not a public address. Use a public one, or ask "
                    "the administrator to allow it with its port in fetch.allowedCIDRs'"
                ),
                "reason": "Invalid",
            }
        ],
    )


def to_text() -> str:
    """The Helm template: policy and binding, with the networks of the values."""
    return template(_policy(_FROM_VALUES))


if __name__ == "__main__":
    write(to_text())
