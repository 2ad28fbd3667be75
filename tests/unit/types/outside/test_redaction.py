"""What is removed from texts, and what is not."""

from __future__ import annotations

import io
import logging
import time
from urllib.parse import quote

import pytest

from audiojob_types.outside.logs import RedactingFormatter
from audiojob_types.outside.redaction import MAX_LEARNED, Secrets, redact, redact_all

S = "s3cr3t-V4lue"
LONG = "Zx81kQ0aPz93mmT7bLq2"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(f"GET https://h.example/a?sig={S} failed", "GET https://h.example/a?*** failed", id="a query"),
        pytest.param(f"https://me:{S}@h.example/a", "https://***@h.example/a", id="user and password"),
        pytest.param(f"https://{S}@h.example/a", "https://***@h.example/a", id="a user alone"),
        pytest.param(f"https://h.example/a#{S}", "https://h.example/a#***", id="a fragment"),
        pytest.param(f"see https://h.example/a?{S}.", "see https://h.example/a?***.", id="the end of a sentence"),
        pytest.param(f"https://h.example/{LONG}/a.mp3", "https://h.example/***/a.mp3", id="a token in the path"),
        pytest.param(f"https://h.example/token={S}/a", "https://h.example/token=***/a", id="a named part of the path"),
        pytest.param(
            f"https://h.example/a%2F{LONG}%2fb/c", "https://h.example/***/c", id="an encoded stroke in the path"
        ),
        pytest.param(f"https://h.example/a%252F{LONG}", "https://h.example/***", id="a stroke encoded twice"),
        pytest.param(f"https://h.example/a:{LONG},b/c", "https://h.example/***/c", id="other signs in the path"),
        pytest.param(f"https://h.example/a;sid={S}/b", "https://h.example/a;***/b", id="a parameter of the path"),
        pytest.param(quote(f"https://h.example/a?x={S}", safe=""), "https://h.example/a?***", id="encoded"),
        pytest.param(
            quote(quote(f"https://h.example/a?x={S}", safe=""), safe=""), "https://h.example/a?***", id="encoded twice"
        ),
        pytest.param(f"https:\\/\\/h.example\\/a?x={S}", "https://h.example/a?***", id="in JSON"),
        pytest.param(f"wss://h.example/a?x={S}", "wss://h.example/a?***", id="another scheme"),
        pytest.param(f"https://[::1]:99999/?x={S}", "https://[::1]:99999/?***", id="a port that is none"),
        pytest.param(f"https://[::1/?x={S}", "https://***", id="no address at all"),
        pytest.param(f"with url: /a.mp3?sig={S} (x)", "with url: /a.mp3?*** (x)", id="a path without its host"),
        pytest.param(f'"GET /a?b={S} HTTP/1.1" 404', '"GET /a?*** HTTP/1.1" 404', id="a request"),
        pytest.param(f"Authorization: Bearer {S}", "Authorization: ***", id="a header"),
        pytest.param(f"Set-Cookie: a={S}; Path=/", "Set-Cookie: ***", id="a cookie"),
        pytest.param(f"{{'Cookie': 'a={S}', 'x': 1}}", "{'Cookie': '***', 'x': 1}", id="headers as Python shows them"),
        pytest.param(f"(b'Authorization', b'Basic {S}')", "(b'Authorization', b'***')", id="headers as h11 has them"),
        pytest.param(f"got bearer {S}", "got bearer ***", id="a token after its scheme"),
        pytest.param(f'{{"access_token": "{S}", "n": 1}}', '{"access_token": "***", "n": 1}', id="JSON"),
        pytest.param(f"{{'Password': b'{S}'}}", "{'Password': b'***'}", id="a dict as Python prints it"),
        pytest.param(rf'"{{\"clientSecret\":\"{S}\"}}"', r'"{\"clientSecret\":\"***\"}"', id="JSON in a text"),
        pytest.param('"reason": "TokenInvalid"', '"reason": "TokenInvalid"', id="a word that is a value is no name"),
        pytest.param(f"body: access_token={S}&x=1", "body: access_token=***&x=1", id="a form"),
        pytest.param(f"https://h.example/a?x=|{{^`&y={S}", "https://h.example/a?***", id="signs that belong in no URL"),
        pytest.param(f"https://h.example/a?x=1\\u0026y={S}", "https://h.example/a?***", id="signs as JSON writes them"),
        pytest.param(f"https:\\u002f\\u002fh.example\\u002fa?x={S}", "https://h.example/a?***", id="all of it in JSON"),
        pytest.param(f"https:&#x2F;&#47;h.example&#47;a?x={S}", "https://h.example/a?***", id="in HTML"),
        pytest.param(f"https://h.example/a%3Fx%3D{S}/b", "https://h.example/a?***/b", id="a query within the path"),
        pytest.param(f'Cookie: a="x"; b={S}', "Cookie: ***", id="a cookie after one in quotes"),
        pytest.param(f'Authorization: Digest a="x", response="{S}"', "Authorization: ***", id="a header of many parts"),
        pytest.param(f'{{"Cookie": "a=\\"x\\"; b={S}"}}', '{"Cookie": "***"}', id="quotes within a header in JSON"),
        pytest.param(f"X-Plex-Token: {S}", "X-Plex-Token: ***", id="a maker's own header"),
        pytest.param(f"pwd={S} passphrase={S}", "pwd=*** passphrase=***", id="other words for it"),
        pytest.param(f"wrong (password: {S}), again", "wrong (password: ***), again", id="a sentence"),
        pytest.param(f"Login failed: Password:{S}", "Login failed: Password:***", id="a sentence without a space"),
        pytest.param(f"passwd = {S}; pwd => {S}", "passwd = ***; pwd => ***", id="a setting with spaces"),
        pytest.param(f'client_secret="a {S}", n=1', 'client_secret="***", n=1', id="a setting in quotes"),
        pytest.param(f"api key: {S}, access_key : '{S}'", "api key: ***, access_key : '***'", id="keys"),
        pytest.param(f"invalid credentials: me/{S}", "invalid credentials: ***", id="both"),
        pytest.param(f"run --password {S} --user me", "run --password *** --user me", id="an option"),
        pytest.param(f"-api_token '{S}' x", "-api_token '***' x", id="an option in quotes"),
        pytest.param(f"<sessionToken a='b'>{S}</sessionToken>", "<sessionToken a='b'>***</sessionToken>", id="XML"),
        pytest.param(
            f'<input name="csrf_token" value="{S}">', '<input name="csrf_token" value="***">', id="a form of HTML"
        ),
        pytest.param(f"The Password is {S}, and", "The Password is ***, and", id="told"),
        pytest.param("your secret was 'open sesame'.", "your secret was '***'.", id="told in quotes"),
        pytest.param("The token is invalid, the password was wrong", None, id="told what is wrong with it"),
        pytest.param("A token is an opaque string; secrets are mounted", None, id="told about them"),
        pytest.param("usage: --token --verbose", None, id="an option without a value"),
        pytest.param("<title>The Secret Garden</title>", None, id="an element with the word in its text"),
        pytest.param("TokenExpired: the token has expired", None, id="a reason with its message"),
        pytest.param("The Secret is missing: create it", None, id="a sentence about one"),
        pytest.param("token:", None, id="nothing after the name"),
        pytest.param("https://h.example/2026/song-of-the-day-2026.mp3", None, id="an address without secrets"),
        pytest.param("https://h.example/My-Long-Title-of-a-Song-1984-remastered.mp3", None, id="a title as a name"),
        pytest.param("s3://music/default/4a6c1f0e-6f0b-4a52-9f1e-0d1f6f9c1a10/one/1", None, id="our own store"),
        pytest.param("The key cookies.txt of the Secret cannot be used.", None, id="words about secrets"),
        pytest.param("Is it true? and/or? Yes: it takes 5 s/song.", None, id="questions and strokes"),
        pytest.param("sha256:" + "ab" * 32, None, id="a checksum"),
    ],
)
def test_a_text(text: str, left: str | None) -> None:
    assert redact(text, Secrets()) == (text if left is None else left)


def learned(url: str) -> Secrets:
    secrets = Secrets()
    secrets.learn_url(url)
    return secrets


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param(f"https://h.example/?sig={S}", f"<title>{S}</title>", id="in a title"),
        pytest.param("https://h.example/?token=a%2Fb%2Bc%3D%3D12", "a/b+c==12 and a%2Fb%2Bc%3D%3D12", id="decoded"),
        pytest.param(f"https://h.example/?sig={S}", f"FILE {S.upper()}.mp3", id="in capitals"),
        pytest.param(f"https://me:{S}@h.example/", S, id="a password"),
        pytest.param(f"https://h.example/{LONG}/x", f"id {LONG}", id="a part of the path"),
        pytest.param(f"https://h.example/x%2F{LONG}%2Fa", f"id {LONG}", id="a part of the path with encoded strokes"),
        pytest.param(f"https://h.example/?u=https%3A%2F%2Fg.example%2F{LONG}", f"id {LONG}", id="within another"),
        pytest.param(f"https://h.example/a%3Btoken%3D{S}", f"id {S}", id="a parameter with encoded signs"),
        pytest.param("https://h.example/?key=Zx81kQ0aPz93mmT7bLq2%22", 'say \\"Zx81kQ0aPz93mmT7bLq2\\"', id="in JSON"),
        pytest.param("https://h.example/?token=a%2Fb%2Bc12", r'{"x": "a\/b+c12"}', id="in JSON of other makers"),
        pytest.param("https://h.example/?token=a%2Fb%2Bc%C3%BC12", str("a/b+cü12".encode()), id="as bytes"),
    ],
)
def test_what_was_learned_is_removed_wherever_it_stands(url: str, text: str) -> None:
    left = redact(text, learned(url)).lower()
    assert S.lower() not in left
    assert LONG.lower() not in left
    assert "a/b+c" not in left.replace("\\/", "/")


def test_names_of_songs_and_videos_are_no_secrets() -> None:
    secrets = learned("https://tube.example/watch?v=dQw4w9WgXcQ&title=Summer+Hits&page=2&lang=english")
    assert redact("dQw4w9WgXcQ Summer Hits english 2", secrets) == "dQw4w9WgXcQ Summer Hits english 2"


def test_titles_have_words_such_as_secret() -> None:
    assert redact("The Secret: Dare to Dream", Secrets(), titles=True) == "The Secret: Dare to Dream"
    assert redact_all({"title": "Password: Swordfish"}, Secrets(), titles=True) == {"title": "Password: Swordfish"}
    assert redact(f"token={S}", Secrets(), titles=True) == "token=***"


@pytest.mark.parametrize("name", ["aaaaaaaa-74357bb4.th", "955717e8-8726e21a.th", "song-2026-11-28-5f3a9c1e.flac"])
def test_names_of_files_with_a_checksum_are_no_secrets(name: str) -> None:
    secrets = learned(f"https://models.example/demucs/{name}")
    assert redact(f"{name} is damaged", secrets) == f"{name} is damaged"


def test_json_is_redacted_in_depth() -> None:
    told = {"a": [f"https://h.example/?x={S}", 1, None], "b": {"c": f"Cookie: {S}"}}
    assert S not in str(redact_all(told, Secrets()))
    assert redact_all(told, Secrets())["a"][1:] == [1, None]


def test_the_newest_secrets_are_known() -> None:
    secrets = Secrets()
    secrets.learn(*(f"secret-{number}" for number in range(MAX_LEARNED + 1)))
    assert redact(f"secret-{MAX_LEARNED}", secrets) == "***"
    assert redact("secret-0 x", secrets) == "secret-0 x"


@pytest.mark.parametrize(
    "piece",
    ["/", "-/", "token", "a:", "https://", "%25", "cookie", "?", "=", "a%3a//", "token: ", 'token:"', "token='\\"],
)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * 40_000)[:32_768]
    begun = time.process_time()
    redact(text, Secrets())
    assert time.process_time() - begun < 2


def test_every_part_of_a_log_record_is_redacted() -> None:
    """Arguments, the traceback with its causes, the stack; extra fields are not printed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(message)s"))
    log = logging.getLogger("test.redaction")
    log.addHandler(handler)
    url = f"https://h.example/a?sig={S}"
    try:
        try:
            raise OSError(f"Failed to parse headers (url={url})")
        except OSError as error:
            raise RuntimeError(f"Unsupported URL: {url}") from error
    except RuntimeError:
        log.exception("no %s", url, extra={"url": url}, stack_info=True)
    log.removeHandler(handler)
    assert stream.getvalue().count("https://h.example/a?***") == 3
    assert S not in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["paſſword=hunter22", "API \u212aEY = hunter22", "s\u0130g=hunter22", "S\u0131G=hunter22"]
)
def test_letters_that_are_others_when_case_is_ignored_hide_no_secret(text: str) -> None:
    assert "hunter22" not in redact(text)
