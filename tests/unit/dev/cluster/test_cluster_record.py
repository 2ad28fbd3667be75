"""What a cluster remembers of its start is there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_dev.cluster.embedded import Cluster, Record
from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths


def test_a_record_that_a_crash_cut_short_is_none_and_is_written_anew(tmp_path: Path) -> None:
    cluster = Cluster(Paths(cache=tmp_path / "cache", state=tmp_path))
    (tmp_path / "cluster.new").write_text('{"address": "10.')
    with pytest.raises(DevError, match="the embedded cluster is not up"):
        _ = cluster.kubectl
    record = Record(address="10.254.0.1", binaries="/bin", etcd_port=2379, forwarding_was_off=True)
    cluster.write_record(record)
    assert cluster.kubectl.program == Path("/bin/kubectl")
    assert [file.name for file in tmp_path.iterdir()] == ["cluster.json"]
