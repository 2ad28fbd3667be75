"""From the claims of a verified token to what its user may do where."""

from __future__ import annotations

from collections.abc import Sequence

from audiojob_api.access.authorizer import Grant, Identity
from audiojob_api.access.config import AccessConfig, Limits, Rule
from audiojob_api.access.oidc.tokens import Claims, find


def grants(rules: Sequence[Rule], provider: str, claims: Claims) -> tuple[Grant, ...]:
    """One for each namespace: what the first rule says that fits. None where no rule does."""
    found: dict[str, Grant] = {}
    for rule in rules:
        if rule.namespace not in found and rule.provider in (None, provider) and _fits(rule, claims):
            found[rule.namespace] = Grant(rule.tenant, rule.namespace, rule.role)
    return tuple(found.values())


def _fits(rule: Rule, claims: Claims) -> bool:
    if rule.claim is None:
        return True
    value = find(claims, rule.claim)
    return any(each in rule.values for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def tier_of(limits: Limits, claims: Claims) -> str | None:
    """The tier that the token names, where there is such a tier; else the default."""
    named = find(claims, limits.tier_claim) if limits.tier_claim else None
    return named if isinstance(named, str) and named in limits.tiers else limits.default_tier


def member(config: AccessConfig, provider: str, user: str, claims: Claims) -> Identity:
    """A provider's user, with what the rules give by now."""
    kept = {name: claims[name] for name in sorted(config.claims) if name in claims}
    return Identity(
        f"oidc:{provider}:{user}",
        grants=grants(config.rules, provider, claims),
        tier=tier_of(config.limits, claims),
        account={"provider": provider, "user": user, "claims": kept},
    )
