"""Links to buckets, against the example of AWS' own documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from audiojob_files.links import MAX_PUT_BYTES, Links
from audiojob_files.presign import Request, Signer
from audiojob_store.credentials import Credentials

MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SIGNED = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_the_example_of_the_documentation() -> None:
    signer = Signer("https://examplebucket.s3.amazonaws.com", "us-east-1", KEY)
    assert signer.link(Request("GET", "/test.txt"), MOMENT, 86_400).endswith(f"&X-Amz-Signature={SIGNED}")


def test_a_link_to_put_fixes_size_and_checksum_and_none_is_larger_than_one_request() -> None:
    links = Links(Signer("https://s3.example.org:9000", "eu", KEY), "audio", "a/b", lambda: MOMENT)
    put = links.to_put("music/uploads/.incoming/up-1/put", 7, "00" * 32)
    assert put is not None
    assert put.headers == {"Content-Length": "7", "x-amz-checksum-sha256": "A" * 43 + "="}
    parts = urlsplit(put.url)
    assert (parts.netloc, parts.path) == ("s3.example.org:9000", "/audio/a/b/music/uploads/.incoming/up-1/put")
    assert parse_qs(parts.query)["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-sha256"]
    assert KEY.secret_access_key not in put.url
    assert links.to_put("k", MAX_PUT_BYTES + 1, None) is None
