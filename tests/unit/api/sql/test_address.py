"""The database's address and the file system that it lies on are checked before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_api.sql.errors import DatabaseError
from audiojob_api.sql.filesystem import kind_of, require_local
from audiojob_api.sql.url import parse

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:30 / /data rw shared:1 - nfs4 server:/export rw
31 22 8:2 / /with\\040space rw - xfs /dev/sdb rw
32 30 0:40 / /data/share rw - cifs //server/share rw
33 30 0:41 / /data/local rw - nfs server:/x rw
34 30 8:3 / /data/local rw - ext4 /dev/sdc rw
"""
BAD = {
    "no address": ("nonsense", "is no address of a database"),
    "another database": ("mysql://h/d", "'mysql' is not supported"),
    "a path from here": ("sqlite:///a.db", "absolute path"),
    "in memory": ("sqlite://", "absolute path"),
    "options of SQLite": ("sqlite:////a.db?mode=memory", "absolute path"),
    "no database": ("postgresql://user:secret@host", "host and database are missing"),
    "no host": ("postgresql:///database", "host and database are missing"),
    "a port that is none": ("postgresql://user:secret@host:x/d", "is no address"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_an_address_that_is_none_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(DatabaseError, match=words) as error:
        parse(text)
    assert "secret" not in str(error.value)


def test_an_address_gets_our_driver_and_hides_its_password() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        found = parse(f"{scheme}://user:secret@host/d")
        assert str(found) == "postgresql+asyncpg://user:***@host/d"
        assert found.file is None
    assert parse("sqlite:////data/a.db").file == Path("/data/a.db")


def test_the_nearest_mount_says_the_kind() -> None:
    kinds = {"/x": "ext4", "/data": "nfs4", "/data/x/y": "nfs4", "/with space": "xfs", "/data/share/a": "cifs"}
    assert {path: kind_of(Path(path), MOUNTS) for path in kinds} == kinds
    assert kind_of(Path("/data/local"), MOUNTS) == "ext4"  # the upper of two at one point
    assert kind_of(Path("/x"), "") == ""


def test_a_file_on_another_machine_is_refused() -> None:
    with pytest.raises(DatabaseError, match=r"lies on nfs4, where SQLite corrupts its data\. Use a claim"):
        require_local(Path("/data/audiojob.db"), MOUNTS)
    require_local(Path("/audiojob.db"), MOUNTS)
