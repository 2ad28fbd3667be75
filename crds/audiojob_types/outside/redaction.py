"""What no text may tell when it leaves a process: passwords, tokens and signatures.

Two nets, one behind the other. :func:`redact` removes what looks like a secret by its place: in a URL the user, the
query, the fragment, and parts of the path that look like tokens; the values of headers that carry credentials. And the
secrets that this process was handed (:class:`Secrets`) are removed wherever and however they are written: a page may
repeat in its title what stood in its address.
"""

from __future__ import annotations

import html
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

HIDDEN: Final = "***"
MAX_LEARNED: Final = 200
# Shorter ones are parts of innocent words; they still go with the URL or header that they stand in.
MIN_LEARNED: Final = 6
MAX_LEARNED_CHARACTERS: Final = 4_096
MAX_DECODINGS: Final = 4
# What a URL goes on with. A secret may come after signs that belong into no URL, and after others as JSON writes them.
_END: Final = r"""(?:[^\s"'<>\\]|\\(?=[^\s"'\\]))"""
# A stroke as it is, as JSON and HTML write it, and percent-encoded, perhaps several times.
_STROKE: Final = r"(?:\\?/|\\u002f|\\x2f|&#0{0,4}47;|&#x0{0,4}2f;|%(?:25){0,3}2f)"

# A URL as texts have it.
_URL: Final = re.compile(rf"[a-z][a-z0-9+.-]{{1,15}}(?::|%(?:25){{0,3}}3a){_STROKE}{{2}}{_END}*", re.IGNORECASE)
_ESCAPED_STROKE: Final = re.compile(r"\\/|\\u002f|\\x2f|&#0{0,4}47;|&#x0{0,4}2f;", re.IGNORECASE)
_PLAIN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# A path and its query in messages that leave the host out: urllib3's "with url: /a.mp3?sig=…".
_RELATIVE: Final = re.compile(rf"(?<![\w./:])(/[^\s?#\"'<>`{{}}|^\\]{{0,512}})\?{_END}+")
_HEADER: Final = re.compile(
    r"""((?:proxy-)?authorization|(?:set-)?cookie2?|(?:x-(?:[a-z0-9]{1,30}-){0,3}|private-)(?:token|secret|signature)"""
    r"""|(?:x-(?:[a-z0-9]{1,30}-){0,3})?(?:api|auth|access|csrf)-key)"""
    r"""(\\?["']?\s*[:=]\s*(?:b(?=["']))?|\\?["']\s*,\s*b?(?=\\?["']))"""
    r"""(\\"[^"\r\n]*|\\'[^'\r\n]*|"(?:\\.|[^"\\\r\n])*|'(?:\\.|[^'\\\r\n])*|[^\s"'][^\r\n]*)""",
    re.IGNORECASE,
)
_SCHEME_OF_HEADER: Final = re.compile(
    r"\b(bearer\s+(?=\S*[0-9._=/+-])|basic\s+(?=\S*[0-9=]))[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE
)
_STRONG: Final = (
    "signature|token|passw(?:or)?d|passphrase|pwd|secret|credential|hmac|api_?key|access_?key|jwt|session_?id|"
    "hdnts|hdnea|hdntl"
)
# Parts of all names that the patterns below look for: what has none of them need not be searched by each. Plain text
# alone: beyond ASCII, case is folded in ways of its own (ſ is an s to a pattern).
_HINTS: Final = (
    "signature", "token", "passw", "passphrase", "pwd", "secret", "credential", "hmac", "key", "jwt", "session", "hdn",
)  # fmt: skip
_SHORT_HINTS: Final = ("sig", "auth", "policy")
_HEADER_HINTS: Final = ("authorization", "cookie")
# `sig=…` outside of a URL, in a query or a setting that a message repeats.
_PAIR: Final = re.compile(
    rf"(?<![\w-])([\w-]{{0,40}}(?:{_STRONG})[\w-]{{0,40}}|sig|auth|policy)(=|%(?:25){{0,3}}3d)(?!\*\*\*)[^\s&;,\"'<>)\]}}\\]+",
    re.IGNORECASE,
)
# The same in JSON, or in what Python prints of a dict.
_MEMBER: Final = re.compile(
    rf"""(\\?["'][\w-]{{0,40}}(?:{_STRONG})[\w-]{{0,40}}\\?["']\s*:\s*b?\\?["'])(?!\*\*\*)[^"'\\\r\n]+""", re.IGNORECASE
)
# The same in a sentence: `password: x`, `API key = "x"`. The name ends before the sign: a reason such as TokenExpired
# is followed by a message.
_SAID: Final = re.compile(
    rf"(?<![\w-])([\w-]{{0,40}}(?:{_STRONG}|(?:api|access|private) key)s?[ \t]{{0,3}}(?:[=-]>|[:=])[ \t]{{0,3}})"
    r"""(?:(["'])(?:(?!\2)[^\\\r\n]|\\.)*\2|(?!\*\*\*)[^\s&;,"'<>)\]}\\]+)""",
    re.IGNORECASE,
)
# The same as an option of a program: `--password x`.
_OPTION: Final = re.compile(
    rf"""(?<![\w-])(--?[\w-]{{0,40}}(?:{_STRONG})[\w-]{{0,40}}[ \t]{{1,3}}(["']?))(?!\*\*\*|-)[^\s"']+""", re.IGNORECASE
)
# The same as an element of XML, or an attribute `name="…token" value="x"` of HTML.
_ELEMENT: Final = re.compile(
    rf"(<[\w:.-]{{0,40}}(?:{_STRONG})[\w:.-]{{0,40}}(?:\s[^<>]{{0,200}})?>)(?!\*\*\*)[^<>]+", re.IGNORECASE
)
_FIELD: Final = re.compile(
    rf"""(\bname=["']?[\w-]{{0,40}}(?:{_STRONG})[\w-]{{0,40}}["']?\s[^<>]{{0,200}}?\bvalue=["']?)(?!\*\*\*)[^\s"'<>]+""",
    re.IGNORECASE,
)
# The same told: `the password is x1`. What is no word, or in quotes: a token may as well be "invalid".
_TOLD: Final = re.compile(
    rf"""(?<![\w-])((?i:(?:{_STRONG}|(?:api|access|private) key)s?)[ \t]{{1,3}}(?:is|was|are)[ \t]{{1,3}})"""
    r"""(?:(["'`])(?:(?!\2)[^\r\n])+\2|(?!\*\*\*)(?=[^\s]*[0-9_/+=]|[a-z]+[A-Z])[^\s&;,"'<>)\]}\\]+)""",
)
_STRONG_NAME: Final = re.compile(_STRONG, re.IGNORECASE)
_SECRET_NAME: Final = re.compile(rf"{_STRONG}|^(?:\w*_)?(?:sig|auth|policy|key|hash|sid|ticket|nonce)$", re.IGNORECASE)
# Long, of letters and digits in no order of words; a number alone is an id or a time.
_TOKEN: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_~.+=-]{20,}")
_OTHER_SIGNS: Final = re.compile(r"[^A-Za-z0-9_~.+=-]+")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Eight hexadecimal digits are what names of files have of a checksum, such as a model's: too few for a secret.
_WORD: Final = re.compile(r"[A-Za-z]{1,15}[0-9]{0,4}|[0-9]{1,8}|[0-9a-f]{1,8}")
# Addresses of our own stores name folders by uid and checksum.
_OWN_SCHEMES: Final = frozenset({"s3", "file"})


class Secrets:
    """The secrets that this process was handed, the newest ``MAX_LEARNED`` of them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def learn(self, *values: str) -> None:
        """Remove these, in every spelling, from all texts from now on; very short and long ones are passed over."""
        with self._lock:
            for value in values:
                if MIN_LEARNED <= len(value) <= MAX_LEARNED_CHARACTERS:
                    self._known[value] = self._known.pop(value, ()) or _spellings(value)
            while len(self._known) > MAX_LEARNED:
                self._known.popitem(last=False)

    def learn_url(self, url: str) -> None:
        """The secrets of an address: its user and password, and what looks like a secret elsewhere."""
        try:
            self.learn(*_secrets_of(urlsplit(url)))
        except ValueError:
            return

    def learn_environment(self, environ: Mapping[str, str]) -> None:
        """The values of variables that are named as secrets, such as AWS_SECRET_ACCESS_KEY."""
        self.learn(*(value for name, value in environ.items() if _STRONG_NAME.search(name) and value[:1] != "/"))

    def remove(self, text: str) -> str:
        """The text without the learned secrets."""
        lowered = text.lower()
        with self._lock:
            found = {each for spellings in self._known.values() for each in spellings if each in lowered}
        if not found:
            return text
        longest_first = sorted(found, key=lambda each: (-len(each), each))
        return re.sub("|".join(map(re.escape, longest_first)), HIDDEN, text, flags=re.IGNORECASE)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._known.clear()


SECRETS: Final = Secrets()
"""Those of this process, whose logging is one as well."""


def redact(text: str, secrets: Secrets = SECRETS, *, titles: bool = False) -> str:
    """The text as it may leave the process. In ``titles`` of works "Secret: …" and the like are words as all others."""
    text = secrets.remove(text)
    # Most texts have none of these signs, and this runs for each of them.
    if "://" in text or "%" in text or "\\" in text or "&" in text:
        text = _URL.sub(lambda found: redact_url(found[0]), text)
    if "?" in text and "/" in text:
        text = _RELATIVE.sub(rf"\1?{HIDDEN}", text)
    lowered = text.lower() if text.isascii() else None
    named = lowered is None or any(hint in lowered for hint in _HINTS)
    if (":" in text or "=" in text or "," in text) and _may_have(_HEADER_HINTS, lowered, named=named):
        text = _HEADER.sub(lambda found: f"{found[1]}{found[2]}{_quote_of(found[3])}{HIDDEN}", text)
    if ("=" in text or "%" in text) and _may_have(_SHORT_HINTS, lowered, named=named):
        text = _PAIR.sub(rf"\1\2{HIDDEN}", text)
    if named:
        text = _without_named(text, titles=titles)
    if _may_have(("bearer", "basic"), lowered, named=False):
        text = _SCHEME_OF_HEADER.sub(rf"\1{HIDDEN}", text)
    return text


def _may_have(words: tuple[str, ...], lowered: str | None, *, named: bool) -> bool:
    return named or lowered is None or any(word in lowered for word in words)


def _without_named(text: str, *, titles: bool) -> str:
    """Without what stands behind a name of a secret, in JSON, sentences, options, XML and HTML."""
    if ":" in text and ('"' in text or "'" in text):
        text = _MEMBER.sub(rf"\1{HIDDEN}", text)
    if not titles and (":" in text or "=" in text or ">" in text):
        text = _SAID.sub(lambda found: f"{found[1]}{found[2] or ''}{HIDDEN}{found[2] or ''}", text)
    if "-" in text:
        text = _OPTION.sub(rf"\1{HIDDEN}", text)
    if "<" in text or "name=" in text:
        text = _FIELD.sub(rf"\1{HIDDEN}", _ELEMENT.sub(rf"\1{HIDDEN}", text))
    if not titles and (" is " in text or " was " in text or " are " in text):
        text = _TOLD.sub(lambda found: f"{found[1]}{found[2] or ''}{HIDDEN}{found[2] or ''}", text)
    return text


def redact_all(value: Any, secrets: Secrets = SECRETS, *, titles: bool = False) -> Any:
    """JSON with each text redacted; the names of its fields are our own."""
    if isinstance(value, str):
        return redact(value, secrets, titles=titles)
    if isinstance(value, Mapping):
        return {key: redact_all(each, secrets, titles=titles) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(each, secrets, titles=titles) for each in value]
    return value


def redact_links(text: str, secrets: Secrets = SECRETS) -> str:
    """A stranger's own description, whose links are meant for everybody: only those with a secret are redacted."""
    return _URL.sub(lambda found: redact_url(found[0]) if _has_secret(found[0]) else found[0], secrets.remove(text))


def redact_url(url: str) -> str:
    """An address with its host and the plain parts of its path."""
    plain = _decoded(_ESCAPED_STROKE.sub("/", url))
    kept = plain.rstrip(".,:!)…")  # signs of the sentence around it
    sentence = plain[len(kept) :]
    try:
        parts = urlsplit(kept)
    except ValueError:
        return f"{kept.partition(':')[0]}://{HIDDEN}{sentence}"
    user, at, place = parts.netloc.rpartition("@")
    path = parts.path if parts.scheme.lower() in _OWN_SCHEMES else "/".join(map(_plain_segment, parts.path.split("/")))
    query = f"?{HIDDEN}" if "?" in kept.partition("#")[0] else ""
    fragment = f"#{HIDDEN}" if "#" in kept else ""
    return f"{parts.scheme}://{HIDDEN + at if user or at else ''}{place}{path}{query}{fragment}{sentence}"


def _decoded(url: str) -> str:
    for _ in range(MAX_DECODINGS):
        if _PLAIN_SCHEME.match(url):
            break
        url = unquote(url)
    return url


def _quote_of(value: str) -> str:
    return next((mark for mark in ('\\"', "\\'", '"', "'") if value.startswith(mark)), "")


def _plain_segment(segment: str) -> str:
    """A part of a path without its secret. After a ``;`` and after a ``=`` stands a parameter."""
    path, mark, _ = unquote(segment).partition("?")
    if mark:  # a whole address as one part of another
        return f"{_plain_segment(path)}?{HIDDEN}"
    name, mark, _ = segment.partition(";")
    if mark:
        return f"{_plain_segment(name)};{HIDDEN}"
    name, mark, value = segment.partition("=")
    if mark and (_SECRET_NAME.search(name) or _looks_secret(value)):
        return f"{name}={HIDDEN}"
    return HIDDEN if _looks_secret(segment) else segment


def _looks_secret(text: str) -> bool:
    return bool(_tokens(text))


def _tokens(text: str) -> list[str]:
    """What looks like a token in it: a stroke, plain or encoded, hides none."""
    return [
        each
        for each in _OTHER_SIGNS.split(_unquoted(text))
        if _TOKEN.fullmatch(each) and not (_UUID.fullmatch(each) or _is_words(each))
    ]


def _unquoted(text: str) -> str:
    for _ in range(MAX_DECODINGS):
        if (plain := unquote(text)) == text:
            break
        text = plain
    return text


def _is_words(text: str) -> bool:
    """A title or a file's name: words and numbers with signs between them."""
    return all(_WORD.fullmatch(word) for word in re.split(r"[-_.+~=]", text) if word)


def _has_secret(url: str) -> bool:
    try:
        parts = urlsplit(_decoded(url))
    except ValueError:
        return True
    return "@" in parts.netloc or any(True for _ in _secrets_of(parts))


def _secrets_of(parts: SplitResult) -> Iterator[str]:
    yield from (unquote(each) for each in (parts.username, parts.password) if each)
    for text in (parts.query, parts.fragment):
        pairs = parse_qsl(text, max_num_fields=200)
        yield from (value for name, value in pairs if _SECRET_NAME.search(name) or _looks_secret(value))
        yield from (each for _, value in pairs for each in _tokens(value))
        if not pairs and _looks_secret(text):
            yield from (unquote(text), *_tokens(text))
    for piece in re.split("[/;&]", _unquoted(parts.path)):
        name, mark, value = piece.partition("=")
        if mark and (_SECRET_NAME.search(name) or _looks_secret(value)):
            yield value
        yield from _tokens(piece)


def _spellings(value: str) -> tuple[str, ...]:
    """How a value may be written, in lower case: decoded, encoded up to three times, in JSON, in HTML, as bytes."""
    found = {value, unquote(value), unquote_plus(value)}
    for each in tuple(found):
        once = quote(each, safe="")
        twice, in_json = quote(once, safe=""), json.dumps(each)[1:-1]
        found |= {once, quote(each), twice, quote(twice, safe=""), quote_plus(each), html.escape(each)}
        found |= {in_json, in_json.replace("/", "\\/"), repr(each.encode(errors="replace"))[2:-1]}
    return tuple({each.lower() for each in found if len(each) >= MIN_LEARNED})
