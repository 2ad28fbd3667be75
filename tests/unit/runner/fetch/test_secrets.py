from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.secrets import NO_SECRETS, FetchSecrets, load_cookies, read_secrets, write_cookies
from audiojob_types.reasons import Reason

COOKIES = "# Netscape HTTP Cookie File\n.example.com\tTRUE\t/\tFALSE\t4102444800\tsession\thidden\n"


def test_no_secret_is_no_secret(tmp_path: Path) -> None:
    assert read_secrets(None) == read_secrets(tmp_path / "absent") == read_secrets(tmp_path) == NO_SECRETS
    assert write_cookies(NO_SECRETS, tmp_path) is None


def test_each_key_may_be_there_alone(tmp_path: Path) -> None:
    (tmp_path / "cookies.txt").write_text(COOKIES)
    found = read_secrets(tmp_path)
    assert (found.cookies, found.upstream) == (COOKIES, None)
    (tmp_path / "upstreamProxy").write_text("http://proxy:3128\n")
    assert read_secrets(tmp_path).upstream is not None


def test_the_copy_is_for_us_alone_and_the_secret_stays(tmp_path: Path) -> None:
    path = write_cookies(FetchSecrets(COOKIES), tmp_path)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == COOKIES


def test_cookies_are_read_with_their_site() -> None:
    jar = load_cookies(FetchSecrets(COOKIES))
    assert jar.get_dict(domain=".example.com") == {"session": "hidden"}
    assert jar.list_domains() == [".example.com"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("upstreamProxy", b"socks5://me:hidden@host", id="another kind of proxy"),
        pytest.param("cookies.txt", b"\xff\xfe\x00hidden", id="no text"),
        pytest.param("cookies.txt", b"hidden" * 1_000_000, id="too large"),
    ],
)
def test_what_cannot_be_used_is_told_and_not_shown(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhaseError) as caught:
        read_secrets(tmp_path)
    assert (caught.value.exit_code, caught.value.reason) == (77, Reason.CREDENTIALS_REFUSED)
    assert name in caught.value.message
    assert "hidden" not in caught.value.message


def test_cookies_in_another_form_are_told() -> None:
    with pytest.raises(PhaseError) as caught:
        load_cookies(FetchSecrets('{"session": "hidden"}'))
    assert "Netscape" in caught.value.message
    assert "hidden" not in caught.value.message + repr(FetchSecrets(COOKIES))
