"""Addresses that lead to the same thing."""

from __future__ import annotations

import pytest

from audiojob_operator.deciding.reuse.urls import normalised, site_of

VIDEO = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        pytest.param(
            "HTTPS://Media.Example.ORG/a.ogg", "https://media.example.org/a.ogg", id="case of scheme and host"
        ),
        pytest.param("https://a.example:443/x", "https://a.example/x", id="the default port of https"),
        pytest.param("http://a.example:80/x", "http://a.example/x", id="the default port of http"),
        pytest.param("http://a.example:8080/x", "http://a.example:8080/x", id="another port stays"),
        pytest.param("https://a.example", "https://a.example/", id="no path is the root"),
        pytest.param("https://a.example/x#t=5", "https://a.example/x", id="the fragment is never sent"),
        pytest.param("https://a.example./x", "https://a.example/x", id="a dot at the end of the host"),
        pytest.param("https://a.example/x?utm_source=m&id=7&fbclid=z", "https://a.example/x?id=7", id="tracking"),
        pytest.param("https://a.example/x?b=2&a=1", "https://a.example/x?b=2&a=1", id="the order of a query stays"),
        pytest.param("https://a.example/X%20y", "https://a.example/X%20y", id="the path stays as it is"),
        pytest.param("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x", id="an IPv6 address"),
        pytest.param("https://youtu.be/dQw4w9WgXcQ?si=abc&t=3", VIDEO, id="a short address of a video"),
        pytest.param("https://m.youtube.com/watch?app=m&v=dQw4w9WgXcQ", VIDEO, id="a video on the mobile site"),
        pytest.param("https://music.youtube.com/watch?v=dQw4w9WgXcQ&list=RD", VIDEO, id="a video within a list"),
        pytest.param("http://youtube.com/watch?v=dQw4w9WgXcQ", VIDEO, id="a video without www and TLS"),
        pytest.param("https://music.youtube.com/watch?v=dQw4w9WgXcQ", VIDEO, id="a video on the music site"),
        pytest.param("https://www.youtube.com/shorts/dQw4w9WgXcQ?feature=share", VIDEO, id="a short"),
        pytest.param("https://m.youtube.com/shorts/dQw4w9WgXcQ", VIDEO, id="a short on the mobile site"),
        pytest.param("https://www.youtube.com/embed/dQw4w9WgXcQ?start=3", VIDEO, id="a video within another page"),
        pytest.param("https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ", VIDEO, id="the same without cookies"),
        pytest.param("https://www.youtube.com/live/dQw4w9WgXcQ", VIDEO, id="a broadcast"),
        pytest.param(
            "https://www.youtube.com/playlist?list=PL1", "https://www.youtube.com/playlist?list=PL1", id="a playlist"
        ),
        pytest.param(
            "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
            "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
            id="a site with a similar name",
        ),
        pytest.param("https://youtu.be/short", "https://youtu.be/short", id="no video's name"),
        pytest.param("https://a.example:x/", "https://a.example:x/", id="a port that is none"),
    ],
)
def test_normalised(url: str, same: str) -> None:
    assert normalised(url) == same
    assert normalised(same) == same


@pytest.mark.parametrize(
    ("url", "host"),
    [
        pytest.param("https://Media.Example.org:8443/x", "media.example.org", id="without port, in lower case"),
        pytest.param("https://youtu.be/dQw4w9WgXcQ", "www.youtube.com", id="whom a short address leads to"),
        pytest.param("https://[::1", None, id="no host at all"),
    ],
)
def test_site_of(url: str, host: str | None) -> None:
    assert site_of(url) == host
