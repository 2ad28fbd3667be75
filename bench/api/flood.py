"""One user's flood beside another user's requests: ``python bench/api/flood.py --seconds 15``.

The API's process on a real API server, with a burst limit. A process of its own sends lists as fast as it gets answers,
over 32 connections, with one account's token; another account asks 15 times a second, alone and then beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from bench.api.create import account_of_the_api
from bench.harness import machine, percentile
from tests.integration.api.conftest import JOBS, Api, allow, launched, wait_ready

from audiojob_dev.cluster.apiserver import fresh_apiserver
from audiojob_types.constants import API_AUDIENCE

CONNECTIONS = 32
A_SECOND = 15
BURST = {"requests": 200, "seconds": 10}


async def _one(port: int, request: bytes, until: float, counts: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        told = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(told["content-length"]))
        status = lines[0].split()[1]
        counts[status] += 1
        counts["429 with policy"] += status == "429" and {"ratelimit-policy", "ratelimit", "retry-after"} <= told.keys()
    writer.close()


async def flood(port: int, token: str, seconds: float) -> None:
    """In a process of its own; prints how many answers of each status came."""
    request = f"GET {JOBS}?limit=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    counts, until = Counter[str](), time.monotonic() + seconds
    await asyncio.gather(*(_one(port, request, until, counts) for _ in range(CONNECTIONS)))
    print(json.dumps(counts))


async def other(api: Api, token: str, seconds: float) -> list[float]:
    """Milliseconds of another user's lists, evenly asked. All must be answered."""
    took, headers = [], {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        began = time.perf_counter()
        for number in range(round(seconds * A_SECOND)):
            await asyncio.sleep(max(0.0, began + number / A_SECOND - time.perf_counter()))
            start = time.perf_counter()
            async with session.get(f"http://127.0.0.1:{api.port}{JOBS}?limit=1") as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            took.append((time.perf_counter() - start) * 1_000)
    return took


def usage(pid: int) -> tuple[float, float]:
    """MiB in memory, seconds of the processor."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pages / 256, (int(ticks[11]) + int(ticks[12])) / 100


def measure(api: Api, pid: int, seconds: float) -> None:
    """Alone, then beside the flood."""
    token = api.server.service_account_token(api.namespace, "reader", audiences=(API_AUDIENCE,))
    asyncio.run(other(api, token, 2))  # so that both tokens are known
    alone, before = asyncio.run(other(api, token, seconds)), usage(pid)
    command = [sys.executable, __file__, "--flood", str(api.port), "--seconds", str(seconds + 1)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(api.token)  # not in its arguments, which everybody may read
        process.stdin.close()
        beside = asyncio.run(other(api, token, seconds))
        assert process.stdout is not None
        counts = json.loads(process.stdout.read())
    after = usage(pid)
    sent = sum(counts[each] for each in counts if each.isdigit())
    print(f"flood: {sent / (seconds + 1):,.0f} requests/s: {counts}")
    print(f"the API: {(after[1] - before[1]) / sent * 1_000:.2f} ms of the processor for each, with the other user's")
    print(f"memory: {before[0]:.0f} MiB before, {after[0]:.0f} after")
    for name, values in (("alone", alone), ("beside the flood", beside)):
        print(f"other user, {name}: p50 {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms")


def main() -> None:
    """The benchmark, or with --flood its second process, whose token comes on standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--flood", type=int, metavar="PORT")
    given = parser.parse_args()
    if given.flood:
        asyncio.run(flood(given.flood, sys.stdin.read(), given.seconds))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as made, fresh_apiserver("bench") as server:
        namespace, kubeconfig = account_of_the_api(server, Path(made))
        allow(server, namespace, "caller", ["get", "list"])
        allow(server, namespace, "reader", ["get", "list"])
        access = Path(made) / "access.json"
        access.write_text(json.dumps({"limits": {"burst": BURST}}))
        with launched(server, namespace, kubeconfig, AUDIOJOB_ACCESS_FILE=str(access)) as (api, process):
            wait_ready(api, process)
            measure(api, process.pid, given.seconds)


if __name__ == "__main__":
    main()
