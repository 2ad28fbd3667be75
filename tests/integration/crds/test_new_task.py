"""A real API server takes jobs and pipelines of a task that was added to a copy of the sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.crds.resources import Answer, Resources
from tests.support.new_task import ROOT, Copy
from tests.support.polling import eventually

from audiojob_dev.cluster.apiserver import LocalApiServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def with_new_task(apiserver: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    copy = Copy.make(tmp_path_factory.mktemp("sources"))
    copy.python("-m", "audiojob_types.generate.crd", "generated")
    apiserver.apply_crds(copy.root / "generated")
    yield
    apiserver.apply_crds(ROOT / "crds")


@pytest.mark.usefixtures("with_new_task")
async def test_its_parameters_are_checked(resources: Resources) -> None:
    def answer(times: int) -> Answer:
        return resources.try_job({"pipeline": "reverse", "parameters": {"reverseText": {"times": times}}})

    await eventually(lambda: answer(9).status == 200, "the server knows the new schema", 30)
    assert (answer(10).status, "parameters.reverseText.times" in answer(10).message) == (422, True)
    assert resources.try_pipeline({"phases": [{"name": "reverse", "task": "ReverseText"}]}).status == 200
    assert resources.try_pipeline({"phases": [{"name": "reverse", "task": "Reverse"}]}).status == 422
