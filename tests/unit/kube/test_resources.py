from __future__ import annotations

import pytest

from audiojob_kube.resources import AUDIOJOBS, AUDIOPIPELINES, NODES, PODS, Resource

Path = tuple[Resource, str | None, str | None, str | None]


@pytest.mark.parametrize(
    ("arguments", "want_path"),
    [
        ((AUDIOJOBS, "music", "song", "status"), "/apis/audiojobs.dev/v1alpha1/namespaces/music/audiojobs/song/status"),
        ((AUDIOJOBS, "music", "song", None), "/apis/audiojobs.dev/v1alpha1/namespaces/music/audiojobs/song"),
        ((AUDIOJOBS, None, None, None), "/apis/audiojobs.dev/v1alpha1/audiojobs"),
        ((AUDIOPIPELINES, None, "separate", None), "/apis/audiojobs.dev/v1alpha1/audiopipelines/separate"),
        ((PODS, "music", None, None), "/api/v1/namespaces/music/pods"),
        ((NODES, "ignored", "n1", None), "/api/v1/nodes/n1"),
        ((PODS, "music", "a b?c", None), "/api/v1/namespaces/music/pods/a%20b%3Fc"),
    ],
    ids=[
        "a subresource",
        "one object",
        "the collection of all namespaces",
        "a cluster-scoped object",
        "a collection of the core group",
        "a namespace means nothing to a cluster-scoped type",
        "characters with a meaning in URLs are encoded",
    ],
)
def test_path(arguments: Path, want_path: str) -> None:
    resource, namespace, name, subresource = arguments
    assert resource.path(namespace, name, subresource) == want_path


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../secrets", "%2e%2e"])
def test_a_name_never_leads_to_another_path(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a Kubernetes object"):
        AUDIOJOBS.path("music", name)


def test_an_object_of_a_namespaced_type_needs_its_namespace() -> None:
    with pytest.raises(ValueError, match="needs a namespace"):
        AUDIOJOBS.path(None, "song")
