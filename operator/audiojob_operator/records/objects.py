"""Names of what Kubernetes stores, and its objects as JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str]  # (namespace, name) of an AudioJob
Object: TypeAlias = dict[str, Any]  # one Kubernetes object, or a part of one, as the API server's JSON
