from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_kube.objects import Key
from audiojob_kube.store import Row, Store

A: Key = ("music", "a")
B: Key = ("music", "b")

Change = tuple[Key, str | None, str | None]


def recording_store() -> tuple[Store[str], list[Change]]:
    changes: list[Change] = []
    store: Store[str] = Store(lambda key, old, new: changes.append((key, old, new)))
    return store, changes


def row(version: int, value: str = "", uid: str = "u1") -> Row[str]:
    return Row(version, uid, value or f"v{version}")


def test_a_list_reports_what_is_new_and_what_is_gone() -> None:
    store, changes = recording_store()
    store.replace({A: row(3), B: row(4)}, 5)
    store.replace({B: row(4)}, 9)
    assert changes == [(A, None, "v3"), (B, None, "v4"), (A, "v3", None)]
    assert dict(store.items()) == {B: "v4"}


def test_an_answer_put_while_a_list_is_under_way_outlives_the_list() -> None:
    store, _ = recording_store()
    store.put(A, row(12))
    store.replace({}, 10)
    assert store.get(A) == "v12"


def test_an_answer_that_arrives_after_its_objects_deletion_does_not_bring_it_back() -> None:
    store, changes = recording_store()
    store.replace({}, 5)
    store.upsert(A, row(6), terminating=False)
    store.delete(A, 8)
    store.put(A, row(7))
    assert store.get(A) is None
    assert changes == [(A, None, "v6"), (A, "v6", None)]


def test_a_write_and_its_own_event_are_one_change() -> None:
    store, changes = recording_store()
    store.replace({A: row(3)}, 5)
    store.put(A, row(6))
    store.upsert(A, row(6), terminating=False)
    assert changes == [(A, None, "v3"), (A, "v3", "v6")]


def test_an_event_older_than_a_put_answer_is_not_shown() -> None:
    store, changes = recording_store()
    store.put(A, row(9))
    store.upsert(A, row(7), terminating=False)
    assert store.get(A) == "v9"
    assert len(changes) == 1


def test_events_repeated_or_out_of_order_change_nothing() -> None:
    store, changes = recording_store()
    store.replace({}, 5)
    store.upsert(A, row(6), terminating=False)
    store.delete(A, 8)
    store.upsert(A, row(6), terminating=False)
    store.delete(A, 8)
    store.delete(B, 7)
    assert dict(store.items()) == {}
    assert len(changes) == 2


def test_what_arrives_after_another_objects_newer_event_is_still_taken_over() -> None:
    store, _ = recording_store()
    store.replace({A: row(3)}, 5)
    store.upsert(B, row(9), terminating=False)
    store.upsert(A, row(7), terminating=False)
    assert store.get(A) == "v7"
    store.put(A, row(8))
    assert store.get(A) == "v8"
    store.upsert(A, row(6), terminating=False)
    assert store.get(A) == "v8"
    assert store.delivered == 9


def test_a_deletion_that_arrives_late_still_deletes_and_nothing_older_brings_the_object_back() -> None:
    store, _ = recording_store()
    store.replace({A: row(3)}, 5)
    store.upsert(B, row(9), terminating=False)
    store.delete(A, 8)
    store.upsert(A, row(7), terminating=False)
    store.put(A, row(7))
    assert store.get(A) is None
    assert store.delivered == 9


def test_a_new_version_with_an_equal_value_is_no_change() -> None:
    store, changes = recording_store()
    store.replace({A: row(3, "same")}, 5)
    store.upsert(A, row(6, "same"), terminating=False)
    assert changes == [(A, None, "same")]
    known = store.row(A)
    assert known is not None
    assert known.version == 6


def test_deleted_and_created_again_in_a_gap_is_two_changes() -> None:
    store, changes = recording_store()
    store.replace({A: row(3, uid="first")}, 5)
    store.replace({A: row(8, uid="second")}, 9)
    assert changes == [(A, None, "v3"), (A, "v3", None), (A, None, "v8")]


def test_a_database_put_back_to_an_earlier_state_is_believed() -> None:
    store, _ = recording_store()
    store.replace({A: row(90), B: row(95)}, 100)
    store.replace({A: row(40)}, 50)
    assert dict(store.items()) == {A: "v40"}
    store.upsert(A, row(51), terminating=False)
    assert store.get(A) == "v51"


def test_a_forgotten_object_is_not_brought_back_by_its_late_events() -> None:
    store, changes = recording_store()
    store.replace({A: row(3)}, 5)
    store.forget(A, "u1")
    store.upsert(A, row(6), terminating=False)
    store.put(A, row(7))
    store.delete(A, 8)
    store.upsert(A, row(9, uid="u2"), terminating=False)
    assert changes == [(A, None, "v3"), (A, "v3", None), (A, None, "v9")]


def test_forgetting_another_incarnation_changes_nothing() -> None:
    store, _ = recording_store()
    store.replace({A: row(3, uid="second")}, 5)
    store.forget(A, "first")
    assert store.get(A) == "v3"


def test_a_forgotten_object_that_is_still_terminating_comes_back() -> None:
    store, _ = recording_store()
    store.replace({A: row(3)}, 5)
    store.forget(A, "u1")
    store.upsert(A, row(6), terminating=True)
    assert store.get(A) == "v6"


def test_a_list_begun_after_forgetting_knows_better() -> None:
    store, _ = recording_store()
    store.replace({A: row(3)}, 5)
    store.forget(A, "u1")
    store.begin_list()
    store.replace({A: row(3)}, 7)
    assert store.get(A) == "v3"


def test_a_late_deletion_of_the_former_object_leaves_the_new_one() -> None:
    store, changes = recording_store()
    store.replace({A: row(3, uid="first")}, 5)
    store.put(A, row(8, uid="second"))
    store.delete(A, 7)
    assert changes == [(A, None, "v3"), (A, "v3", None), (A, None, "v8")]


def test_what_is_forgotten_takes_no_memory_for_ever() -> None:
    store, _ = recording_store()
    store.replace({A: row(3), B: row(4)}, 5)
    store.forget(B, "u1")
    store.delete(B, 6)
    store.begin_list()
    store.forget(A, "u1")
    store.replace({}, 9)
    assert store._forgotten == {}


@dataclass
class Server:
    """The truth: every change of two keys, in order."""

    events: list[tuple[str, Key, Row[str]]] = field(default_factory=list)
    live: dict[Key, Row[str]] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return len(self.events)

    def write(self, key: Key) -> None:
        known = self.live.get(key)
        uid = known.uid if known else f"u{self.version + 1}"
        new = row(self.version + 1, uid=uid)
        self.live[key] = new
        self.events.append(("UPSERT", key, new))

    def delete(self, key: Key) -> None:
        if (known := self.live.pop(key, None)) is not None:
            self.events.append(("DELETED", key, row(self.version + 1, uid=known.uid)))


@dataclass
class World:
    """One store following the server, and a mirror built only from what on_change said."""

    server: Server = field(default_factory=Server)
    mirror: dict[Key, str] = field(default_factory=dict)
    snapshot: tuple[dict[Key, Row[str]], int] | None = None
    delivered: int = 0
    store: Store[str] = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self._changed)

    def _changed(self, key: Key, old: str | None, new: str | None) -> None:
        assert self.mirror.pop(key, None) == old
        assert old != new
        if new is not None:
            self.mirror[key] = new

    def deliver(self) -> None:
        if self.snapshot is not None or self.delivered == self.server.version:
            return
        kind, key, new = self.server.events[self.delivered]
        self.delivered += 1
        if kind == "DELETED":
            self.store.delete(key, new.version)
        else:
            self.store.upsert(key, new, terminating=False)

    def list(self) -> None:
        """First call: asks for a list; next call: its answer, of the time of the first, arrives."""
        if self.snapshot is None:
            self.store.begin_list()
            self.snapshot = dict(self.server.live), self.server.version
            return
        fresh, self.delivered = self.snapshot
        self.store.replace(fresh, self.delivered)
        self.snapshot = None

    def put(self, back: int) -> None:
        """A write's answer, any number of changes late."""
        if back < self.server.version:
            kind, key, new = self.server.events[self.server.version - 1 - back]
            if kind == "UPSERT":
                self.store.put(key, new)

    def forget(self, back: int) -> None:
        if back < self.server.version:
            kind, key, gone = self.server.events[self.server.version - 1 - back]
            if kind == "DELETED":
                self.store.forget(key, gone.uid)


actions = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1)),
    st.tuples(st.just("write"), st.integers(0, 1)),
    st.tuples(st.just("delete"), st.integers(0, 1)),
    st.tuples(st.just("deliver"), st.just(0)),
    st.tuples(st.just("deliver"), st.just(0)),
    st.tuples(st.just("list"), st.just(0)),
    st.tuples(st.just("put"), st.integers(0, 4)),
    st.tuples(st.just("forget"), st.integers(0, 4)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(actions, max_size=40))
def test_whatever_is_late_lost_or_repeated_the_table_ends_as_the_server_is(script: list[tuple[str, int]]) -> None:
    world = World()
    keys = (A, B)
    for action, number in script:
        match action:
            case "write":
                world.server.write(keys[number])
            case "delete":
                world.server.delete(keys[number])
            case "deliver":
                world.deliver()
            case "list":
                world.list()
            case "put":
                world.put(number)
            case "forget":
                world.forget(number)
        assert world.mirror == dict(world.store.items()), "on_change tells every change"
    if world.snapshot is not None:
        world.list()
    while world.delivered < world.server.version:
        world.deliver()
    assert dict(world.store.items()) == {key: live.value for key, live in world.server.live.items()}
