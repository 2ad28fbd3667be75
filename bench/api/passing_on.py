"""The least that a creation over REST can cost with the API's own libraries: a route that passes the job on.

No token is looked at, nothing is checked, counted, logged or kept. ``bench/api/create.py`` starts it as a process.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

from audiojob_kube.client import connect
from audiojob_kube.config import load_connection
from audiojob_kube.resources import AUDIOJOBS
from audiojob_types.constants import API_VERSION


async def serve(kubeconfig: Path, namespace: str, port: int) -> None:
    client = connect(load_connection(kubeconfig), user_agent="bench", field_manager="bench")
    app = FastAPI()

    @app.post("/api/v1/jobs")
    async def create(request: Request) -> Response:
        spec = orjson.loads(await request.body())
        metadata = {"name": spec.pop("name"), "namespace": namespace}
        job = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": metadata, "spec": spec}
        made = await client.create(AUDIOJOBS, job, namespace)
        return Response(orjson.dumps(made), status_code=201, media_type="application/json")

    config = uvicorn.Config(app, host="127.0.0.1", port=port, http="h11", access_log=False, log_level="warning")
    try:
        await uvicorn.Server(config).serve()
    finally:
        await client.aclose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
