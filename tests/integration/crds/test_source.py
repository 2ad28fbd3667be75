"""Sources of AudioJobs that a real API server takes, and those that it refuses with a sentence that helps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

pytestmark = pytest.mark.integration

Spec = dict[str, Any]
URL = "https://example.org/song.flac"


def spec(**others: Any) -> Spec:
    """A spec with a pipeline and these fields."""
    return {"pipeline": "separate", **others}


def url(text: str) -> Spec:
    return spec(source={"url": text})


def inputs(*given: dict[str, Any]) -> Spec:
    return spec(inputs=list(given))


def text(name: str, content: str) -> dict[str, Any]:
    return {"name": name, "text": content}


def key(text: str) -> Spec:
    return spec(source={"object": {"key": text}})


ACCEPTED: dict[str, Spec] = {
    "none, where the pipeline needs none": spec(),
    "a url": url(URL),
    "a url with port, query and fragment": url("http://media.example.org:8080/a%20b/song.flac?x=1&y=a@b#t=3"),
    "a url with an at sign in its path": url("https://example.org/@band/song"),
    "a url with an IPv6 address": url("http://[2001:db8::1]/song"),
    "a url of 2,048 characters": url(URL + "/" + "a" * (2_048 - len(URL) - 1)),
    "an uploaded object": key("albums/Motörhead – Überraschung.flac"),
    "a file of a library": spec(source={"library": {"name": "nas", "path": "Ärzte/01 – Song.flac"}}),
    "an output of another job": spec(source={"jobRef": {"name": "mix", "output": "vocals.flac"}}),
    "a text beside no source": inputs(text("script", "Good evening.\nGood night.\n")),
    "an empty text": inputs(text("script", "")),
    "an upload beside the source": url(URL) | {"inputs": [{"name": "lyrics", "object": {"key": "a/b.lrc"}}]},
    "64 texts of 1,024 characters": inputs(*(text(f"t{n}", "ü" * 1_024) for n in range(64))),
    "two texts of 32 KiB": inputs(text("a", "x" * 32_768), text("b", "x" * 32_768)),
    "the only output of another job": spec(source={"jobRef": {"name": "m" * 63}}),
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_job(body)
    assert answer.status == 200, answer.message


# The refused spec, and words that the answer must have: the field, and what to do.
REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "65 inputs": (inputs(*(text(f"t{n}", "") for n in range(65))), ["spec.inputs", "at most 64"]),
    "two inputs of a name": (inputs(text("a", ""), text("a", "")), ["spec.inputs[1]", "Duplicate"]),
    "an input of a name that is a path": (inputs(text("../a", "")), ["spec.inputs[0].name"]),
    "an input without a name": (inputs({"text": "a"}), ["spec.inputs[0].name", "Required"]),
    "an input of nothing": (inputs({"name": "a"}), ["spec.inputs[0]", "exactly one of text, object"]),
    "an input of two things": (
        inputs({"name": "a", "text": "a", "object": {"key": "a"}}),
        ["spec.inputs[0]", "exactly one of text, object"],
    ),
    "a text of more than 32 KiB": (inputs(text("a", "x" * 32_769)), ["spec.inputs[0].text", "32768"]),
    "texts of more than 64 KiB in all": (
        inputs(text("a", "x" * 32_768), text("b", "x" * 32_768), text("c", "x")),
        ["spec.inputs", "at most 64 KiB; upload longer ones"],
    ),
    "an input that leaves the uploads": (
        inputs({"name": "a", "object": {"key": "../b"}}),
        ["spec.inputs[0].object", "without '..'"],
    ),
    "an address beside the source": (inputs({"name": "a", "url": URL}), ["unknown field", "spec.inputs[0].url"]),
    "two sources": (
        spec(source={"url": URL, "object": {"key": "a"}}),
        ["spec.source", "exactly one of url, object"],
    ),
    "an empty source": (spec(source={}), ["spec.source", "exactly one of url, object"]),
    "a url and another job's output": (
        spec(source={"url": URL, "jobRef": {"name": "mix"}}),
        ["spec.source", "exactly one of url, object, library, jobRef"],
    ),
    "a library and an address": (
        spec(source={"url": URL, "library": {"name": "nas", "path": "a"}}),
        ["spec.source", "exactly one of url, object, library, jobRef"],
    ),
    "a file outside the library": (
        spec(source={"library": {"name": "nas", "path": "../theirs/a.flac"}}),
        ["spec.source.library", "without '..'"],
    ),
    "an absolute path in a library": (
        spec(source={"library": {"name": "nas", "path": "/etc/passwd"}}),
        ["spec.source.library", "relative to the library"],
    ),
    "a library that is a path": (
        spec(source={"library": {"name": "../nas", "path": "a"}}),
        ["spec.source.library.name"],
    ),
    "a destination that is a path": (spec(destination={"library": "/srv/music"}), ["spec.destination.library"]),
    "a layout of one's own": (
        spec(destination={"library": "nas", "layout": "../{title}"}),
        ["spec.destination.layout", "ArtistAlbum"],
    ),
    "an upload and another job's output": (
        spec(source={"object": {"key": "a"}, "jobRef": {"name": "mix"}}),
        ["spec.source", "exactly one of url, object, library, jobRef"],
    ),
    "a jobRef without a name": (spec(source={"jobRef": {"output": "vocals"}}), ["spec.source.jobRef.name", "Required"]),
    "a jobRef to a name with dots": (spec(source={"jobRef": {"name": "a.b"}}), ["spec.source.jobRef.name"]),
    "a jobRef into another namespace": (
        spec(source={"jobRef": {"name": "mix", "namespace": "theirs"}}),
        ["unknown field", "spec.source.jobRef.namespace"],
    ),
    "a jobRef to a path": (
        spec(source={"jobRef": {"name": "mix", "output": "../secret"}}),
        ["spec.source.jobRef.output"],
    ),
    "an unknown field of a source": (spec(source={"url": URL, "user": "me"}), ["unknown field", "spec.source.user"]),
    "a file url": (url("file:///etc/passwd"), ["spec.source.url", "http://", "https://"]),
    "a data url": (url("data:audio/wav;base64,AAAA"), ["spec.source.url", "https://"]),
    "a path for a url": (url("/etc/passwd"), ["spec.source.url", "https://"]),
    "a url with no host": (url("https:///song"), ["spec.source.url", "name a host"]),
    "a url scheme in capitals": (url("HTTPS://example.org/a"), ["must start with"]),
    "a url with a password": (url("https://me:secret@example.org/a"), ["must not contain a user name or password"]),
    "a url with a user name": (url("https://me@example.org/a"), ["must not contain a user name or password"]),
    "a url with a space": (url("https://example.org/a b"), ["must not contain spaces"]),
    "a url with a line break": (url("https://example.org/a\nHost: b"), ["must not contain spaces or control"]),
    "an empty url": (url(""), ["spec.source.url"]),
    "a url of 2,049 characters": (url(URL + "/" + "a" * (2_048 - len(URL))), ["spec.source.url", "2048"]),
    "an absolute key": (key("/etc/passwd"), ["spec.source.object", "relative path"]),
    "a key that leaves the folder": (key("../other/song.flac"), ["spec.source.object", "without '..'"]),
    "a key with an empty part": (key("albums//song.flac"), ["spec.source.object", "relative path"]),
    "a key with a backslash": (key("albums\\song.flac"), ["spec.source.object.key"]),
    "a key with a zero byte": (key("song\x00.flac"), ["spec.source.object.key"]),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_job(body)
    assert answer.status in {400, 422}
    assert [word for word in words if word not in answer.message] == [], answer.message
