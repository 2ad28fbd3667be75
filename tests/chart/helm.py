"""Renders the chart with the real helm."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from audiojob_dev.paths import repository

CHART = repository() / "charts" / "audiojob"
RELEASE = "audiojob"
RELEASE_NAMESPACE = "audiojob-system"
KUBERNETES = "1.34.4"

Object = dict[str, Any]
_BETWEEN = "\n---\n"
# Ten times as fast as the loader in Python, where libyaml is there.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedError(Exception):
    """Helm's own words."""


@dataclass(frozen=True)
class Helm:
    """The pinned helm, and the chart that it renders."""

    binary: Path
    chart: Path = CHART

    def run(self, *arguments: str, values: Object | None = None) -> str:
        """Run helm with these values on its standard input. Raises RefusedError."""
        command = [str(self.binary), *arguments]
        if values is not None:
            command += ["--values", "-"]
        text = json.dumps(values) if values is not None else None
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def render(self, values: Object, *, kubernetes: str = KUBERNETES, tests: bool = False) -> list[Object]:
        """The objects of a release with these values; ``tests``: also what `helm test` makes for a minute."""
        return _objects(self._text(values, kubernetes=kubernetes, tests=tests))

    def makes_others(self, values: Object, than: Object) -> bool:
        """Whether these values make other objects ``than`` those; only those are parsed whose text differs."""
        one, other = (self._text(each).split(_BETWEEN) for each in (values, than))
        alone = ([text for text in texts if text not in others] for texts, others in ((one, other), (other, one)))
        changed, before = (_objects(_BETWEEN.join(texts)) for texts in alone)
        return changed != before

    def _text(self, values: Object, *, kubernetes: str = KUBERNETES, tests: bool = False) -> str:
        return _rendered(self, json.dumps(values, sort_keys=True), kubernetes, tests)


def _objects(text: str) -> list[Object]:
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]


@cache
def _rendered(helm: Helm, values: str, kubernetes: str, tests: bool) -> str:
    flags = ["-n", RELEASE_NAMESPACE, "--kube-version", kubernetes, *([] if tests else ["--skip-tests"])]
    return helm.run("template", RELEASE, str(helm.chart), *flags, values=json.loads(values))


def find(objects: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """The one object of this kind and name."""
    found = [
        candidate
        for candidate in objects
        if candidate["kind"] == kind
        and candidate["metadata"]["name"] == name
        and namespace in (None, candidate["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name} in {namespace}"
    return found[0]


def settings_file(objects: list[Object], operator: str) -> str:
    """The settings file that the operator's Deployment of this name mounts and names."""
    pod = find(objects, "Deployment", operator)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    (path,) = [Path(each["value"]) for each in container["env"] if each["name"] == "AUDIOJOB_SETTINGS_FILE"]
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == str(path.parent)]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    assert mount["readOnly"] is True
    text: str = find(objects, "ConfigMap", volume["configMap"]["name"])["data"][path.name]
    return text


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [candidate for candidate in objects if candidate["kind"] in kinds]


def without_hooks(objects: list[Object]) -> list[Object]:
    """What stays: not the Jobs that run before an upgrade, and what they need."""
    return [each for each in objects if "helm.sh/hook" not in (each["metadata"].get("annotations") or {})]


def ci_values() -> dict[str, Object]:
    """Values that the chart is tested with, by file name: those beside it, and the example of docs/install.md."""
    files = [*sorted((CHART / "ci").glob("*-values.yaml")), repository() / "examples" / "install" / "values.yaml"]
    return {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def default_values() -> Object:
    values: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return values


def leaves(values: Object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all values that are not objects with members."""
    found: list[tuple[str, ...]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += leaves(value, (*path, key))
        else:
            found.append((*path, key))
    return found


def nested(path: str, value: Any) -> Object:
    """``a.b`` and 1 as ``{"a": {"b": 1}}``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    result: Object = value
    return result


def merged(base: Object, over: Object) -> Object:
    """`over` on top of `base`, objects member by member, as helm merges values."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
