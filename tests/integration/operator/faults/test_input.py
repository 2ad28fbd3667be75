"""Rows of the table of bad input (docs/faults.md) that need a body which no JSON library writes, sent as it is."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse

import pytest
from tests.integration.operator.conftest import Space

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_types.constants import API_VERSION


def post(server: LocalApiServer, path: str, body: str) -> tuple[int, str]:
    """Status and message of the server's answer to these very bytes."""
    context = ssl.create_default_context(cafile=str(server.authority))
    context.load_cert_chain(server.admin.certificate, server.admin.key)
    parts = urllib.parse.urlsplit(server.url)
    assert parts.hostname is not None
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, str(json.loads(response.read()).get("message", ""))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("field", "text"),
    [
        pytest.param("priority", "NaN", id="B8 NaN"),
        pytest.param("priority", "Infinity", id="B8 Infinity"),
        pytest.param("priority", "-0", id="B8 minus zero"),
        pytest.param("priority", "1e400", id="B8 1e400"),
        pytest.param("priority", "true", id="B8 a boolean"),
        pytest.param("priority", "9" * 5_000, id="B8 5,000 digits"),
        pytest.param("priority", "5.5", id="B8 a fraction"),
        pytest.param("retry", '{"limit": -1}', id="B7 a negative limit"),
        pytest.param("retry", '{"limit": 1000000000}', id="B7 a limit of a milliard"),
        pytest.param("activeDeadlineSeconds", "0", id="B7 a deadline of zero"),
        pytest.param("activeDeadlineSeconds", '"1y"', id="B7 a deadline in words"),
        pytest.param("parallelism", "1000000", id="B7 a field of another kind"),
    ],
)
def test_B7_B8_a_number_that_is_none_is_refused_and_nothing_is_stored(
    controllers: LocalApiServer, space: Space, field: str, text: str
) -> None:
    head = f'{{"apiVersion": "{API_VERSION}", "kind": "AudioJob", "metadata": {{"name": "song"}}, '
    body = f'{head}"spec": {{"pipeline": "{space.pipeline}", "{field}": {text}}}}}'
    status, message = post(controllers, f"{space.jobs_path}?fieldValidation=Strict", body)
    assert 400 <= status < 500, (status, message)
    assert message
    assert space.rest.request("GET", space.jobs_path)["items"] == []
