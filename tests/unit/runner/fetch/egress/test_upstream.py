from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.upstream import Upstream, parse_upstream


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("http://proxy.corp:3128", Upstream("proxy.corp", 3128), id="host and port"),
        pytest.param(" http://proxy.corp/ \n", Upstream("proxy.corp", 80), id="a file's last line break"),
        pytest.param(
            "http://me:p%40ss@[fd00::1]:8080", Upstream("fd00::1", 8080, "Basic bWU6cEBzcw=="), id="with a password"
        ),
    ],
)
def test_what_names_a_proxy(text: str, want: Upstream) -> None:
    assert parse_upstream(text) == want


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://a:1", "https://a:1", "http://", "http://a:x", "http://a/b"])
def test_what_does_not(text: str) -> None:
    with pytest.raises(ValueError, match="it is not"):
        parse_upstream(text)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ValueError, match="it is not") as caught:
        parse_upstream("ftp://me:hidden@host")
    assert "hidden" not in str(caught.value) + repr(parse_upstream("http://me:hidden@host:1"))
