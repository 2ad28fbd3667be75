"""The page at /docs comes from the image alone: no other host is named, and every file it names is served."""

from __future__ import annotations

import re
from importlib.metadata import version
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

PAGE = "/docs"


def test_every_file_of_the_page_is_served_without_a_token(anonymous: TestClient) -> None:
    page = anonymous.get(PAGE)
    assert page.status_code == 200
    named = [first or second for first, second in re.findall(r"""(?:src|href)="([^"]*)"|url: '([^']*)'""", page.text)]
    assert {name.rsplit(".", 1)[1] for name in named} == {"js", "css", "png", "json"}
    for name in named:
        answer = anonymous.get(urljoin(PAGE, name))
        assert answer.status_code == 200, name
        assert answer.content


def test_the_page_names_no_other_host(anonymous: TestClient) -> None:
    page = anonymous.get(PAGE)
    assert re.findall(r"https?:|[\"'(]//", page.text) == []
    assert '"validatorUrl": null' in page.text, "Swagger UI would send the document to its authors' validator"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "//" not in policy


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/docs/main.py", "/docs/..%2f__init__.py"])
def test_nothing_else_is_served_there(anonymous: TestClient, path: str) -> None:
    assert anonymous.get(path).status_code == 404


def test_the_files_are_of_the_locked_package(anonymous: TestClient) -> None:
    assert version("fastapi-swagger")
    script = anonymous.get("/docs/swagger-ui-bundle.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "SwaggerUIBundle" in script.text
    assert anonymous.get("/docs/swagger-ui.css").headers["content-type"].startswith("text/css")
