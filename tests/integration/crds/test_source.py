"""Sources and inputs of AudioJobs that a real API server takes, and those that it refuses, with a useful sentence."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_dev.paths import repository
from audiojob_dev.rest import wait_until
from audiojob_types.generate.crd import audiojob_crd

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


APPROVAL = {"phase": "separate", "approved": True, "message": ""}
LYRICS = {"name": "lyrics", "text": "La la la"}


def handing_in(*inputs: Any) -> Spec:
    """A review that hands these inputs in."""
    return {**APPROVAL, "inputs": list(inputs)}


ACCEPTED: dict[str, Spec] = {
    "reviews that hand in as much as they may": spec(
        reviews=[
            handing_in(*({"name": f"file-{n}.lrc", "object": {"key": "lyrics/song.lrc"}} for n in range(4))),
            handing_in({"name": "lyrics", "text": "x" * 32_768}, {"name": "00_title", "text": "x" * 32_768}),
            *[handing_in({"name": "lyrics", "object": {"key": "a.txt"}})] * 14,
        ]
    ),
    "none, where the pipeline needs none": spec(),
    "a url": url(URL),
    "a url with port, query and fragment": url("http://media.example.org:8080/a%20b/song.flac?x=1&y=a@b#t=3"),
    "a url with an at sign in its path": url("https://example.org/@band/song"),
    "a url with an IPv6 address": url("http://[2001:db8::1]/song"),
    "a url with an IPv6 address and a port": url("http://[2001:DB8:0:0:0:0:0:1]:8443?x"),
    "a url with an IPv4 address": url("http://192.0.2.7/song"),
    "a url with a private address, which the chart's policy judges": url("http://10.20.0.1:9000/song"),
    "a url of a host alone": url("https://example.org"),
    "a url with an empty port": url("https://example.org:/a"),
    "a url with port 80": url("http://example.org:80"),
    "a url with port 1024": url("http://example.org:1024/"),
    "a url with port 65535": url("http://example.org:65535#a"),
    "a url with letters beyond ASCII in its path": url("https://example.org/Motörhead/Überraschung.flac"),
    "a url with a name in Punycode": url("https://xn--mnchen-3ya.example/song"),
    "a url with a name that begins with digits": url("https://127.0.0.1.nip.example/1.2.3.4"),
    "a url with a name of the cluster": url("http://minio_1.storage.svc.cluster.local.:9000/a"),
    "a url with a name that has localhost within": url("https://localhost.example.org/localhost"),
    "a url with an address of this machine in its query": url("https://example.org/?of=http://localhost:22/a@b"),
    "a url of 2,048 characters": url(URL + "/" + "a" * (2_048 - len(URL) - 1)),
    "an uploaded object": key("albums/Motörhead – Überraschung.flac"),
    "a file of a library": spec(source={"library": {"name": "nas", "path": "Ärzte/01 – Song.flac"}}),
    "an output of another job": spec(source={"jobRef": {"name": "mix", "output": "vocals.flac"}}),
    "a text beside no source": inputs(text("script", "Good evening.\nGood night.\n")),
    "an empty text": inputs(text("script", "")),
    "an upload beside the source": url(URL) | {"inputs": [{"name": "lyrics", "object": {"key": "a/b.lrc"}}]},
    "64 texts of 1,024 characters": inputs(*(text(f"t{n}", "ü" * 1_024) for n in range(64))),
    "250 uploads with the longest keys": inputs(
        *({"name": f"media-{n}", "object": {"key": "a/" * 255 + "ab"}} for n in range(250))
    ),
    "two texts of 32 KiB": inputs(text("a", "x" * 32_768), text("b", "x" * 32_768)),
    "the only output of another job": spec(source={"jobRef": {"name": "m" * 63}}),
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_job(body)
    assert answer.status == 200, answer.message


# The refused spec, and words that the answer must have: the field, and what to do.
REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "a rejection that hands in lyrics": (
        spec(reviews=[{**handing_in(LYRICS), "approved": False}]),
        ["spec.reviews[0]", "inputs cannot go with approved: false"],
    ),
    "an input handed in without a name": (
        spec(reviews=[handing_in({"text": "la"})]),
        ["spec.reviews[0].inputs[0].name", "Required"],
    ),
    "an input handed in whose name is a path": (
        spec(reviews=[handing_in({**LYRICS, "name": "../x"})]),
        ["spec.reviews[0].inputs[0].name"],
    ),
    "a text and an upload handed in as one": (
        spec(reviews=[handing_in({**LYRICS, "object": {"key": "a"}})]),
        ["spec.reviews[0].inputs[0]", "exactly one of text, object"],
    ),
    "nothing handed in": (spec(reviews=[handing_in({"name": "lyrics"})]), ["exactly one of text, object"]),
    "two of a name handed in": (spec(reviews=[handing_in(LYRICS, LYRICS)]), ["spec.reviews[0].inputs", "Duplicate"]),
    "5 inputs handed in": (
        spec(reviews=[handing_in(*({**LYRICS, "name": f"n{n}"} for n in range(5)))]),
        ["spec.reviews[0].inputs", "at most 4"],
    ),
    "a text handed in that is too long": (
        spec(reviews=[handing_in({**LYRICS, "text": "x" * 32_769})]),
        ["spec.reviews[0].inputs[0].text", "32768"],
    ),
    "texts handed in that are too long together": (
        spec(reviews=[handing_in({**LYRICS, "text": "x" * 32_768})] * 3),
        ["spec.reviews", "all texts of reviews together must be at most 64 KiB"],
    ),
    "an upload handed in from elsewhere": (
        spec(reviews=[handing_in({"name": "lyrics", "object": {"key": "../other/uploads/x"}})]),
        ["spec.reviews[0].inputs[0].object", "key must be a relative path"],
    ),
    "an upload handed in by a whole path": (
        spec(reviews=[handing_in({"name": "lyrics", "object": {"key": "/etc/passwd"}})]),
        ["spec.reviews[0].inputs[0].object", "key must be a relative path"],
    ),
    "an address handed in": (
        spec(reviews=[handing_in({"name": "lyrics", "url": "https://example.org/x"})]),
        ["unknown field", "spec.reviews[0].inputs[0].url"],
    ),
    "251 inputs": (inputs(*(text(f"t{n}", "") for n in range(251))), ["spec.inputs", "at most 250"]),
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
    "B17: a url with a password": (
        url("https://me:secret@example.org/a"),
        ["must not contain a user name or password"],
    ),
    "B17: a url with a user name": (url("https://me@example.org/a"), ["must not contain a user name or password"]),
    "a url with a space": (url("https://example.org/a b"), ["must not contain spaces"]),
    "B17: a url with a line break": (url("https://example.org/a\nHost: b"), ["must not contain spaces or control"]),
    "B17: a url with an at sign after a question mark": (url("https://example.org?@10.0.0.1/a"), ["no @ before the"]),
    "B17: a url with an at sign after a hash": (url("https://example.org#@10.0.0.1/a"), ["no @ before the path"]),
    "B17: a url with an at sign after a backslash": (url("https://a.example\\@b.example/"), ["no @ before the path"]),
    "B17: a url with a backslash in its host": (url("https://a.example\\.b.example/"), ["name a host"]),
    "B17: a url with a hash for a host": (url("https://#example.org/"), ["name a host"]),
    "B17: a url with a percent sign in its host": (url("https://127%2e0.0.1/"), ["name a host"]),
    "B17: a url with CR and LF": (url("https://example.org/a\r\nHost: b"), ["must not contain spaces or control"]),
    "B17: a url with CR and LF in its host": (
        url("https://example.org\r\n.b/"),
        ["must not contain spaces or control"],
    ),
    "B17: a url of 64 kB": (url(URL + "/" + "a" * 64_000), ["spec.source.url", "2048"]),
    "B17: a look-alike of a name": (url("https://ехаmple.org/"), ["host in ASCII", "xn--"]),
    "B17: an ideographic full stop": (url("http://127。0。0。1/"), ["host in ASCII"]),
    "B17: digits of full width": (url("http://１２７.0.0.1/"), ["host in ASCII"]),
    "B17: port 22": (url("http://example.org:22/a"), ["port 80, 443, or one from 1024 to 65535"]),
    "B17: port 22 of an IPv6 address": (url("http://[2001:db8::1]:22"), ["port 80, 443"]),
    "B17: port 0": (url("http://example.org:0/"), ["port 80, 443"]),
    "B17: port 1023": (url("http://example.org:1023?a"), ["port 80, 443"]),
    "B17: port 65536": (url("http://example.org:65536/"), ["port 80, 443"]),
    "B17: a port of 30 digits": (url(f"http://example.org:{'8' * 30}/"), ["port 80, 443"]),
    "B17: a port that is no number": (url("http://example.org:http/"), ["name a host"]),
    "B14: an IPv6 address without brackets": (url("http://::1/a"), ["name a host"]),
    "B13: an IPv6 address with a zone": (url("http://[fe80::1%25eth0]/a"), ["name a host"]),
    "B17: two ports": (url("http://example.org:80:80/"), ["name a host"]),
    "an empty url": (url(""), ["spec.source.url"]),
    "a url of 2,049 characters": (url(URL + "/" + "a" * (2_048 - len(URL))), ["spec.source.url", "2048"]),
    "an absolute key": (key("/etc/passwd"), ["spec.source.object", "relative path"]),
    "a key that leaves the folder": (key("../other/song.flac"), ["spec.source.object", "without '..'"]),
    "a key with an empty part": (key("albums//song.flac"), ["spec.source.object", "relative path"]),
    "a key with a backslash": (key("albums\\song.flac"), ["spec.source.object.key"]),
    "a key with a zero byte": (key("song\x00.flac"), ["spec.source.object.key"]),
}


NUMBERS = "IPv4 address as four decimal numbers"
IPV6 = "must write an IPv6 address such as"
NO_SOURCE = "link-local, multicast, unspecified, or a cloud's metadata"
# What no administrator can allow. Private addresses, which one can: tests/integration/policy/test_address_policy.py.
B13_AND_B14: dict[str, str] = {
    "169.254.169.254": NO_SOURCE,
    "[fd00:ec2::254]": NO_SOURCE,
    "[FD00:0EC2:0::0:254]:8080": NO_SOURCE,
    "100.100.100.200": NO_SOURCE,
    "168.63.129.16": NO_SOURCE,
    "192.0.0.192": NO_SOURCE,
    "[fd00:c1::a9fe:a9fe]:8080": NO_SOURCE,
    "169.254.0.1:8080": NO_SOURCE,
    "[fe80::1]": NO_SOURCE,
    "[febf::1]": NO_SOURCE,
    "0.0.0.0": NO_SOURCE,
    "[::]": NO_SOURCE,
    "[0:0::0]:8080": NO_SOURCE,
    "224.0.0.251": NO_SOURCE,
    "255.255.255.255": NO_SOURCE,
    "[ff02::1]": NO_SOURCE,
    "metadata.google.internal": "metadata service of a cloud",
    "METADATA.google.internal.": "metadata service of a cloud",
    "metadata:8080": "metadata service of a cloud",
    "2130706433": NUMBERS,
    "2130706433:8080": NUMBERS,
    "0x7f.1": NUMBERS,
    "0X7F000001": NUMBERS,
    "127.1": NUMBERS,
    "127.0.0.1.": NUMBERS,
    "0177.0.0.1": NUMBERS,
    "127.0.0.01": NUMBERS,
    "127.0.0.256": NUMBERS,
    "1.127.0.0.1": NUMBERS,
    "127.0.0.0x1": NUMBERS,
    "a.example.0x": NUMBERS,
    "[::ffff:7f00:1]": IPV6,
    "[::ffff:127.0.0.1]": IPV6,
    "[0:0:0:0:0:FFFF:7f00:1]:8080": IPV6,
    "[1::2::3]": IPV6,
    "[127.0.0.1]": "name a host",
    "localhost": "must not name localhost",
    "localhost.": "must not name localhost",
    "LocalHost:8080": "must not name localhost",
    "a.localhost": "must not name localhost",
    "localhost.localdomain": "must not name localhost",
}


@pytest.mark.parametrize("end", ["", "/latest/", "?a=b", "#a"], ids=["no path", "a path", "a query", "a fragment"])
@pytest.mark.parametrize(("place", "words"), B13_AND_B14.items(), ids=B13_AND_B14.keys())
def test_B13_B14_hosts_that_are_never_a_source(  # noqa: N802
    resources: Resources, place: str, words: str, end: str
) -> None:
    answer = resources.try_job(url(f"http://{place}{end}"))
    assert answer.status == 422
    assert "spec.source.url" in answer.message
    assert words in answer.message
    assert answer.message.count("url must ") == 1, "one sentence for one mistake"


def test_a_job_from_before_the_rules_still_changes(resources: Resources) -> None:
    earlier = audiojob_crd()
    schema = earlier["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["source"]["properties"]["url"]["x-kubernetes-validations"]
    refused = url("http://localhost:8080/song.flac")
    try:
        resources.server.kubectl.apply(earlier)
        wait_until("the schema without the rules", lambda: resources.try_job(refused).status == 200, seconds=30)
        job = resources.create_job(refused)
    finally:
        resources.server.apply_crds(repository() / "crds")
    wait_until("the schema with the rules", lambda: resources.try_job(refused).status == 422, seconds=30)
    assert resources.patch_status(job, {"state": "Running", "percent": 5}).status == 200
    assert resources.patch_spec(job, {"cancel": True}).status == 200


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_job(body)
    assert answer.status in {400, 422}
    assert [word for word in words if word not in answer.message] == [], answer.message
