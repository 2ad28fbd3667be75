"""Lists of jobs: filters, orders, cursors, and one list from two sources."""

from __future__ import annotations

import base64
import gc
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.idempotency import ANNOTATION_REQUEST
from audiojob_api.jobs.listing.cursor import at, encode
from audiojob_api.jobs.listing.paging import MOST_COUNTED, Count, Found, LiveIndex, joined
from audiojob_api.jobs.listing.query import Filter, Order, Query, Span
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.problems import Problem

JOBS = "/api/v1/jobs"
HOUR = 3_600_000


def job(number: int, **changes: Any) -> JobRow:
    ended = number % 3 == 0
    made = row_of({
        "metadata": {
            "name": f"song-{number}", "namespace": "team", "uid": f"u{number:03d}", "resourceVersion": "1",
            "creationTimestamp": f"2026-11-29T{number % 24:02d}:00:00Z",
        },
        "spec": {"pipeline": "separate", "priority": number % 5 + 1},
        "status": {"state": "Succeeded", "completionTime": f"2026-11-30T{number % 24:02d}:00:00Z"} if ended else {},
    })  # fmt: skip
    return replace(made, **changes)


def index_of(rows: list[JobRow]) -> LiveIndex:
    index = LiveIndex()
    for row in rows:
        index.change(None, row)
    return index


def pages(query: Query, *sources: LiveIndex) -> list[str]:
    """The uids of all pages."""
    found: list[str] = []
    while True:
        rows, cursor = joined(query, *(source.find(query) for source in sources))
        assert len(rows) <= query.limit
        found += [row.uid for row in rows]
        if cursor is None:
            return found
        query = at(query, cursor)


@pytest.mark.parametrize("order", Order)
def test_pages_of_two_sources_hold_every_job_once_in_order(order: Order) -> None:
    rows = [job(number) for number in range(100)]
    chance = random.Random(order)
    live, old = chance.sample(rows, 60), chance.sample(rows, 60)
    query = Query(order=order, limit=7)
    together = {row.uid: row for row in (*live, *old) if query.wants(row)}
    wanted = sorted(together.values(), key=order.place, reverse=True)
    assert pages(query, index_of(live), index_of(old)) == [row.uid for row in wanted]


def test_jobs_that_come_change_and_go_move_no_page() -> None:
    rows = [job(number) for number in range(30)]
    index, query = index_of(rows), Query(order=Order.PRIORITY, limit=10)
    first, cursor = joined(query, index.find(query))
    index.change(None, job(99, priority=9))
    gone = next(row for row in rows if row not in first)
    index.change(gone, None)
    moved = next(row for row in rows if row not in first and row is not gone)
    index.change(moved, replace(moved, priority=1))
    rest = pages(at(query, cursor), index)
    assert sorted([row.uid for row in first] + rest) == sorted(row.uid for row in rows if row is not gone)


def test_behind_a_search_that_was_given_up_nothing_is_shown_or_lost() -> None:
    live = index_of([job(number) for number in range(0, 24, 2)])
    query = Query(limit=50)
    archived = [job(23), job(21)]
    page, cursor = joined(query, live.find(query), Found(archived, Order.CREATED.place(job(19))))
    assert [row.uid for row in page] == ["u023", "u022", "u021", "u020"]
    assert at(query, cursor).after == Order.CREATED.place(job(19))


FILTERS = {
    "state": Filter(state="Succeeded"),
    "created": Filter(
        created=Span(begin=row_of({"metadata": {"name": "", "creationTimestamp": "2026-11-29T20:00:00Z"}}).created)
    ),
    "finished": Filter(finished=Span(end=0)),
    "text": Filter(text="song-2"),
    "nobody's": Filter(user="ann"),
    "a label": Filter(labels=(("team", "a"),)),
}
MATCHES = {"state": 8, "created": 4, "finished": 0, "text": 5, "nobody's": 0, "a label": 1}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(name: str) -> None:
    rows = [job(number) for number in range(23)] + [job(23, labels=(("team", "a"),))]
    index = index_of(rows)
    assert index.count(FILTERS[name]) == Count(MATCHES[name])
    assert len(index.find(Query(FILTERS[name])).rows) == MATCHES[name]


def test_what_is_rare_is_found_in_order_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiojob_api.jobs.listing.paging._LOOKED_AT", 5)
    index = index_of([job(number) for number in range(100)])
    for order in Order:
        query = Query(Filter(state="Succeeded"), order, limit=7)
        wanted = sorted((row for row in index.rows() if query.wants(row)), key=order.place, reverse=True)
        assert pages(query, index) == [row.uid for row in wanted]


def test_counts_end_at_a_bound() -> None:
    assert Count(MOST_COUNTED) + Count(1) == Count(MOST_COUNTED, at_least=True)
    assert Count(3) + Count(4) == Count(7)


def forged(**changes: Any) -> str:
    whole = {"v": 1, "q": Query().digest, "p": [1, "u"], **changes}
    return base64.urlsafe_b64encode(json.dumps(whole).encode()).decode()


BAD_CURSORS = {
    "of other filters": encode(Query(Filter(state="Failed")), (1, "u")),
    "of another order": encode(Query(order=Order.FINISHED), (1, "u")),
    "cut": encode(Query(), (1, "u"))[:-4],
    "of another version": forged(v=2),
    "a place of words": forged(p=["x", "u"]),
    "a place too far": forged(p=[2**70, "u"]),
    "true for a number": forged(p=[True, "u"]),
    "a uid of controls": forged(p=[1, "u\n"]),
    "no object": base64.urlsafe_b64encode(b"[1]").decode(),
    "nested": base64.urlsafe_b64encode(b"[" * 3_000).decode(),
    "no ASCII": "é",
}


@pytest.mark.parametrize("cursor", BAD_CURSORS.values(), ids=BAD_CURSORS)
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(Problem) as refused:
        at(Query(), cursor)
    assert (refused.value.status, refused.value.kind) == (400, "invalid-cursor")


BAD_QUERIES = {
    "limit=0": "/limit", "limit=201": "/limit", "limit=-1": "/limit", "limit=1000000000": "/limit",
    "limit=1_0": "/limit", "limit=1.0": "/limit", "limit=%205": "/limit", "limit=%D9%A1": "/limit",
    "limit=%2B5": "/limit",
    "stat=Failed": "/stat", "state=failed": "/state", "state=": "/state", "state=Failed,": "/state",
    "state=Failed,Failed": "/state", "createdFrom=2026-11-29T14:00:00": "/createdFrom",
    "createdFrom=yesterday": "/createdFrom", "finishedTo=2026-11-29": "/finishedTo", "name=A%25": "/name",
    "createdFrom=2026-11-29T14:00:00Z&createdTo=2026-11-29T15:00:00%2B02:00": "/createdTo",
    "labels=colour%3Dred": "/labels", "labels=team": "/labels", "labels=team%3Da,team%3Db": "/labels",
    "sort=name": "/sort", "where=here": "/where", "user=" + "x" * 9_000: "/user", "cursor=": "/cursor",
}  # fmt: skip


@pytest.mark.parametrize(("query", "field"), BAD_QUERIES.items(), ids=[text[:30] for text in BAD_QUERIES])
def test_a_query_that_is_wrong_names_its_field(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"{JOBS}?{query}")
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [field]
    assert len(answer.content) < 1_000


def test_a_list_says_how_many_there_are(client: TestClient, backend: MemoryBackend) -> None:
    for number in range(3):
        backend.put(f"song-{number}", state="Running")
    query = "createdFrom=2025-12-31T23:00:00-01:00&name=song&sort=priority&count=true&limit=2"
    answer = client.get(f"{JOBS}?{query}").json()
    assert answer["total"] == {"count": 3, "atLeast": False}
    assert len(answer["items"]) == 2
    assert len(client.get(f"{JOBS}?{query}&cursor={answer['cursor']}").json()["items"]) == 1


def test_jobs_at_work_are_one_question(client: TestClient, backend: MemoryBackend) -> None:
    for name, state in {"a": "Running", "b": "Succeeded", "c": "Queued"}.items():
        backend.put(name, state=state)
    active = client.get(f"{JOBS}?state=Running,Queued,Pending&count=true").json()
    assert (sorted(item["name"] for item in active["items"]), active["total"]["count"]) == (["a", "c"], 2)
    asked = [Filter(state="Queued"), Filter(states=("Queued", "Running")), Filter(states=("Failed", "Running"))]
    assert [each.may_have_ended for each in asked] == [False, False, True], "the archive is asked for the last alone"


def test_no_garbage_collection_looks_into_rows() -> None:
    job = {"metadata": {"name": "song", "uid": "1"}, "spec": {"device": "GPU"}}
    row = row_of(job)
    assert not gc.is_tracked(row)
    assert not gc.is_tracked(replace(row, archived=True))


def test_keys_of_the_jobs_that_there_are_are_known() -> None:
    index = LiveIndex()
    rows = [
        row_of({"metadata": {"name": name, "uid": name, "annotations": {ANNOTATION_REQUEST: mark}}})
        for name, mark in {"a": "k1.x", "b": "k1.y", "c": ".x", "d": "k2.x"}.items()
    ]
    for row in rows:
        index.change(None, row)
    assert [index.may_have_key(key) for key in ("k1", "k2", "k3", "")] == [True, True, False, False]
    index.change(rows[0], None)
    index.change(rows[3], replace(rows[3], request="k3.x", priority=9))
    index.change(rows[1], replace(rows[1], priority=9))
    assert [index.may_have_key(key) for key in ("k1", "k2", "k3")] == [True, False, True]
    index.change(rows[1], None)
    assert not index.may_have_key("k1")
