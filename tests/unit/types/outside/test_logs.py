"""No program prints a log record that was not redacted."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_types.outside.logs import RedactingFormatter, close_other_ways, leave_out_origins
from audiojob_types.outside.redaction import SECRETS, Secrets, redact

ROOT = Path(__file__).parents[4]
PACKAGES = ("crds", "kube", "runner", "operator", "api")
S = "s3cr3t-V4lue"
URL = f"https://h.example/a?sig={S}"


@pytest.fixture
def as_before() -> Iterator[None]:
    """The process's own hooks, after a test that sets them."""
    hooks, thread_hooks, raising = sys.excepthook, threading.excepthook, logging.raiseExceptions
    origins = logging._srcfile, logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    yield
    logging._srcfile, logging.logThreads, logging.logProcesses, logging.logMultiprocessing = origins
    sys.excepthook, threading.excepthook, logging.raiseExceptions = hooks, thread_hooks, raising
    logging.captureWarnings(capture=False)
    SECRETS.forget()


def test_every_formatter_of_ours_redacts() -> None:
    own = ROOT / "crds" / "audiojob_types" / "outside" / "logs.py"
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path != own]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in modules}
    assert [name for name, text in texts.items() if "logging.Formatter" in text] == []
    assert [name for name, text in texts.items() if "basicConfig(" in text and "handlers=[handler]" not in text] == []


@pytest.mark.usefixtures("as_before")
def test_what_python_would_print_by_itself_is_redacted_too(caplog: pytest.LogCaptureFixture) -> None:
    close_other_ways()
    caplog.handler.setFormatter(RedactingFormatter())
    error = ValueError(URL)
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    assert caplog.text.count("https://h.example/a?***") == 2
    assert S not in caplog.text


@pytest.mark.usefixtures("as_before")
def test_variables_that_are_named_as_secrets_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/DEF+123456")
    monkeypatch.setenv("AUDIOJOB_IMAGES__PULL_POLICY", "IfNotPresent")
    close_other_ways()
    assert redact("abc/DEF+123456 IfNotPresent") == "*** IfNotPresent"


def test_a_record_whose_arguments_do_not_fit_is_told_without_them() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "%d of x", (URL,), None)
    assert RedactingFormatter().message_of(record) == "%d of x"


@pytest.mark.parametrize("datefmt", [None, "%H:%M"])
def test_a_line_has_the_time_that_logging_would_write(datefmt: str | None) -> None:
    ours, theirs = RedactingFormatter("%(asctime)s", datefmt), logging.Formatter("%(asctime)s", datefmt)
    for created in (1_000.25, 1_000.75, 1_001.0, 999.5, 1_000.25):
        record = logging.makeLogRecord({"created": created, "msecs": created % 1 * 1_000})
        assert ours.format(record) == theirs.format(record)


@pytest.mark.usefixtures("as_before")
def test_lines_are_the_same_without_their_origins(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s %(message)s"))
    leave_out_origins()
    logging.getLogger("n").warning("a %s", 1)
    assert caplog.text == "WARNING n a 1\n"
    assert (caplog.records[0].lineno, caplog.records[0].thread) == (0, None)


TOKENS = st.text("abcXYZ0189-_.~!$'()*+,;=@%äö/&#?", min_size=8, max_size=40)


@given(token=TOKENS, place=st.sampled_from(["https://h.example/a?sig={}", "http://u:{}@h.example/", "/a.mp3?x={}"]))
def test_no_text_breaks_it_and_what_it_made_stays(token: str, place: str) -> None:
    once = redact(place.format(token), Secrets())
    assert redact(once, Secrets()) == once


@given(token=st.text("abcXYZ0189-_.~+%ä", min_size=8, max_size=40), prefix=st.text(max_size=20))
def test_no_value_of_a_query_is_left(token: str, prefix: str) -> None:
    assert token not in redact(f"{prefix} https://h.example/a?value={token}", Secrets()).removeprefix(prefix)
