from __future__ import annotations

import socket
from typing import NoReturn

import pytest

from audiojob_runner.fetch.egress import resolver
from audiojob_runner.fetch.egress.names import is_inside_name, is_spelled_address
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError


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


@pytest.mark.parametrize("host", ["kubernetes", "minio.music.svc", "postgres.default.svc.cluster.local", "localhost"])
def test_nobody_is_asked_for_a_name_inside_the_network_where_none_may_be_reached(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_arguments: object, **_more: object) -> NoReturn:
        pytest.fail("how long the answer takes would tell whether there is such a service")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    with pytest.raises(RefusedError) as caught:
        resolver.resolve(host, 8080, ())
    assert (caught.value.refusal, caught.value.detail) == (
        Refusal.NO_SUCH_HOST, f"There is no public host named {host}",
    )  # fmt: skip
