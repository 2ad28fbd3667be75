"""The file of providers and rules: every mistake in it is named before the API starts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiojob_api.access.config import AccessConfig, load_access
from audiojob_kube.errors import ConfigError

Object = dict[str, Any]

GOOD: Object = {
    "providers": [{"name": "corp", "issuer": "https://id.example.org/realms/music", "audiences": ["audiojob"]}],
    "rules": [{"claim": "groups", "values": ["band"], "tenant": "band", "namespace": "music", "role": "submitter"}],
}


def _set(path: str, value: Any) -> Callable[[Object], None]:
    def change(config: Object) -> None:
        *steps, last = path.split(".")
        here: Any = config
        for step in steps:
            here = here[int(step) if step.isdigit() else step]
        here[last] = value

    return change


BAD: dict[str, tuple[Callable[[Object], None], str]] = {
    "a misspelt field": (_set("provider", []), "provider: unknown field, did you mean providers?"),
    "a misspelt field of a rule": (
        _set("rules.0.tenants", "x"),
        "rules.0.tenants: unknown field, did you mean tenant",
    ),
    "an issuer over HTTP": (_set("providers.0.issuer", "http://id.example.org"), "must start with https://"),
    "an issuer that is no address": (_set("providers.0.issuer", "id.example.org"), "providers.0.issuer"),
    "an issuer with a password": (_set("providers.0.issuer", "https://a:b@id.example.org"), "providers.0.issuer"),
    "no audience": (_set("providers.0.audiences", []), "providers.0.audiences"),
    "an algorithm with a shared secret": (_set("providers.0.algorithms", ["HS256"]), "providers.0.algorithms.0"),
    "two of a name": (lambda config: config["providers"].append(config["providers"][0]), "the same name"),
    "a claim without values": (_set("rules.0.values", []), "claim and values go together"),
    "a role that nobody has": (_set("rules.0.role", "owner"), "rules.0.role"),
    "a provider that is not there": (_set("rules.0.provider", "other"), "there is no provider other"),
    "a namespace that is not served": (_set("rules.0.namespace", "film"), "does not serve film"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_named(tmp_path: Path, change: Callable[[Object], None], words: str) -> None:
    config = copy.deepcopy(GOOD)
    change(config)
    file = tmp_path / "access.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_access(file, {"music"})


def test_what_is_good_is_taken_and_no_file_is_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    assert load_access(file, {"music"}).rules[0].tenant == "band"
    assert load_access(None, {"music"}) == AccessConfig()
    file.write_text("{", encoding="utf-8")
    for path in (file, tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="json"):
            load_access(path, {"music"})
