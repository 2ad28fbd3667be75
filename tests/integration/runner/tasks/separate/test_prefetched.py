"""What prefetch leaves in the volume is what Separate loads: from a web server to stems, nothing put in by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.separate.test_separate import music, read, tiny_model
from tests.integration.runner.tasks.web import Web

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.watchdog import Interruption
from audiojob_runner.prefetch.command import Prefetch, fill
from audiojob_types.models import KnownModel
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task


def prefetch(bench: Bench, web: Web, tmp_path: Path) -> list[Path]:
    """Publish two tiny networks, and fetch a model that averages them."""
    (tmp_path / "published").mkdir()
    paths = []
    for signature in ("aaaaaaaa", "bbbbbbbb"):
        file = tiny_model(tmp_path / "published", "unused", signature)
        web.serve(f"/mdx_final/{file.name}", file.read_bytes())
        paths.append(f"mdx_final/{file.name}")
    known = KnownModel((paths[0], paths[1], paths[0]), ((1.0,) * 4, (0.5,) * 4, (1.0,) * 4), segment=2)
    order = Prefetch(("mdx",), web.url, bench.models, ("127.0.0.0/8:*",), {"mdx": known})
    assert fill(order, Interruption(), lambda _name, _record: None) == []
    return sorted(bench.models.glob("*.th"))


def test_a_fetched_model_separates(bench: Bench, web: Web, tmp_path: Path) -> None:
    prefetch(bench, web, tmp_path)
    result = bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 30_000), model="mdx", format="wav")
    assert {read(output.path).shape for output in result.outputs} == {(30_000, 2)}
    assert len(web.asked) == 2, "a network that is used twice is fetched once, and separating fetches nothing"


def test_F41_a_fetched_model_that_was_damaged_since_is_refused(  # noqa: N802
    bench: Bench, web: Web, tmp_path: Path
) -> None:
    weights = prefetch(bench, web, tmp_path)[0]
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 1_000), model="mdx")
    assert (caught.value.exit_code, caught.value.reason) == (64, Reason.CHECKSUM_MISMATCH)
    assert weights.name in caught.value.message
