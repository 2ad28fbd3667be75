from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.upstream import Upstream, is_inside_name, is_spelled_address, parse_upstream


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


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("localhost", True), ("kubernetes", True), ("kubernetes.default.svc", True), ("a.cluster.local.", True),
        ("metadata.google.internal", True), ("router.lan", True), ("example.com", False), ("local.example.com", False),
        ("93.184.216.34", False), ("2606:4700::1", False),
    ],
)  # fmt: skip
def test_names_that_only_mean_something_inside(host: str, inside: bool) -> None:
    assert is_inside_name(host) is inside


@pytest.mark.parametrize(
    ("host", "spelled"),
    [
        ("169.254.169.254.", True), ("127.1.", True), ("2130706433.", True), ("0x7f.0.0.0x1.", True), ("fd00::1", True),
        ("0X7F000001", True), ("example.com.", False), ("1.example.com", False), ("0x.example.com", False),
    ],
)  # fmt: skip
def test_numbers_are_no_name(host: str, spelled: bool) -> None:
    assert is_spelled_address(host) is spelled
