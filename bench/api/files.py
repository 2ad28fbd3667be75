"""Files in and out beside nginx on this machine: speed, memory, kills in the middle, a large zip.

``PYTHONPATH=. python bench/api/files.py [--bytes 2147483648] [--rounds 3] [--kills 20]`` starts the files service, the
API with its jobs in memory, and Debian's nginx (unpacked, not installed) as server and as proxy, each a process of its
own over one folder; curl is the client. Speeds are medians of alternating rounds, in MiB/s; memory is each process's
peak. The service hashes what it takes, which nginx does not: so uploads are compared, too, with nginx and a sha256 of
each piece that it took.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.__main__ import _config
from audiojob_api.app import create_app
from audiojob_api.cluster.files import HttpFiles
from audiojob_api.cluster.ticket_key import TicketKey
from audiojob_api.files.tickets import Signer
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings
from audiojob_dev.tools.debian import unpack
from audiojob_store.ticket import HEADER, PART_BYTES, Verb, part_size, parts_of

NAMESPACE = "music"
UID = "5f1e0000-0000-4000-8000-000000000001"
OWNER = "0" * 64
ATTEMPT = f"{NAMESPACE}/{UID}/separate/1-abcdefgh"


class _NoKeeping(TicketKey):
    """A key that is there already."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def curl(*words: str) -> tuple[float, float]:
    """MiB/s and seconds to the first byte. Raises for a status from 400 on."""
    shown = "%{speed_download} %{speed_upload} %{time_starttransfer}"
    command = ["curl", "-sS", "-f", "-o", "/dev/null", "-w", shown, "-H", "Expect:", *words]
    down, up, first = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return max(float(down), float(up)) / 2**20, float(first)


def peak(pid: int) -> float:
    """MiB that the process had resident at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


class Bench:
    """The processes, and what is asked of them."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.store = folder / "store"
        (self.store / ATTEMPT).mkdir(parents=True)
        self.seed = secrets.token_bytes(32)
        self.signer = Signer(self.seed)
        (folder / "keys.json").write_text(json.dumps({"keys": [dict(self.signer.public)]}))
        self.ports = {name: free_port() for name in ("files", "api", "nginx", "proxy")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.song = self._song()

    def _song(self) -> str:
        """A file that is no hole: its sha256."""
        block, digest = secrets.token_bytes(2**20), hashlib.sha256()
        with (self.store / ATTEMPT / "song.wav").open("wb") as file:
            for _ in range(self.size // 2**20):
                file.write(block)
                digest.update(block)
        return digest.hexdigest()

    # ---------------------------------------------------------------- processes

    def start_files(self) -> None:
        variables = {
            "NAMESPACE": NAMESPACE, "ROOT": self.store, "KEYS": self.folder / "keys.json", "HOST": "127.0.0.1",
            "PORT": self.ports["files"], "MIN_FREE_BYTES": 0, "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        ours = {f"AUDIOJOB_FILES_{name}": str(value) for name, value in variables.items()}
        memory = {"ARENA_MAX": "1", "MMAP_THRESHOLD_": "1048576", "TRIM_THRESHOLD_": "8388608"}  # as in the chart
        environment = {**os.environ, **ours, **{f"MALLOC_{name}": value for name, value in memory.items()}}
        self._start("files", [sys.executable, "-m", "audiojob_files"], environment)

    def start_api(self) -> None:
        told = json.dumps(
            {
                "port": self.ports["api"],
                "files": self.ports["files"],
                "seed": self.seed.hex(),
                "manifest": publish(self),
            }
        )
        words = [sys.executable, __file__, "--api", told]
        self._start("api", words, dict(os.environ))

    def start_nginx(self, binary: Path) -> None:
        config = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # whose worker would be somebody who cannot see the folder
        config.write_text(f"""
            daemon off; master_process off; {user} pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;
            events {{ worker_connections 64; }}
            http {{
              access_log off; sendfile on; client_max_body_size 0; client_body_temp_path {self.folder}/body;
              proxy_temp_path {self.folder}/p; fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u;
              scgi_temp_path {self.folder}/s;
              server {{ listen 127.0.0.1:{self.ports["nginx"]}; root {self.store};
                dav_methods PUT; create_full_put_path on; }}
              server {{ listen 127.0.0.1:{self.ports["proxy"]};
                location / {{ proxy_pass http://127.0.0.1:{self.ports["files"]}; proxy_http_version 1.1;
                  proxy_request_buffering off; proxy_max_temp_file_size 0; }} }}
            }}""")
        self._start("nginx", [str(binary), "-e", f"{self.folder}/error.log", "-c", str(config)], dict(os.environ))

    def _start(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        self.running[name] = subprocess.Popen(words, env=environment)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", self.ports[name])) == 0:
                    return
            time.sleep(0.02)
        raise SystemExit(f"{name} does not listen")

    def stop(self) -> None:
        for each in self.running.values():
            each.kill()
            each.wait()

    # ---------------------------------------------------------------- requests

    def ticket(self, verb: Verb, key: str, **claims: Any) -> list[str]:
        return ["-H", f"{HEADER}: {self.signer.sign(NAMESPACE, verb, key, claims)}"]

    def download(self, way: str) -> float:
        base = f"http://127.0.0.1:{self.ports[way]}"
        if way == "nginx":
            return curl(f"{base}/{ATTEMPT}/song.wav")[0]
        if way == "api":
            token = f"Authorization: Bearer {GOOD_TOKEN}"
            return curl("-H", token, f"{base}/api/v1/jobs/song/outputs/song")[0]
        claims = {"size": self.size, "sha256": self.song, "name": "song.wav", "type": "audio/wav"}
        return curl(*self.ticket(Verb.READ, f"{ATTEMPT}/song.wav", **claims), f"{base}/v1/file")[0]

    def upload(self, way: str) -> float:
        """All parts, one curl each, beside nginx taking the same pieces; the announcement and the end are not timed."""
        way, hashes = ("nginx", True) if way == HASHED else (way, False)
        base = f"http://127.0.0.1:{self.ports[way]}"
        upload = f"up-{secrets.token_hex(16)}"
        if way in ("files", "proxy"):
            claims = {"size": self.size, "name": "a.wav", "type": "audio/wav", "owner": OWNER}
            curl("-X", "POST", *self.ticket(Verb.CREATE, upload, **claims), f"{base}/v1/uploads/{upload}")
        if way == "api":
            body = json.dumps({"name": "a.wav", "bytes": self.size, "mediaType": "audio/wav"})
            answer = subprocess.run(
                ["curl", "-sSf", *self._token(), "-H", "Content-Type: application/json", "-d", body,
                 f"{base}/api/v1/uploads"], check=True, capture_output=True, text=True,
            )  # fmt: skip
            upload = json.loads(answer.stdout)["id"]
        seconds = 0.0
        for number in range(1, parts_of(self.size) + 1):
            size = part_size(self.size, number)
            address, head = self._part(way, upload, number)
            seconds += (
                size / 2**20 / curl(*head, "-X", "PUT", "--data-binary", f"@{self.piece(size)}", base + address)[0]
            )
            if hashes:
                began = time.perf_counter()
                with (self.store / address[1:]).open("rb") as taken:
                    hashlib.file_digest(taken, "sha256")
                seconds += time.perf_counter() - began
        for path in (self.store / NAMESPACE / "uploads").glob(f"**/{upload}*"):
            subprocess.run(["rm", "-rf", str(path)], check=True)
        return self.size / 2**20 / seconds

    def _token(self) -> list[str]:
        return ["-H", f"Authorization: Bearer {GOOD_TOKEN}"]

    def _part(self, way: str, upload: str, number: int) -> tuple[str, list[str]]:
        if way == "nginx":
            return f"/{NAMESPACE}/uploads/{upload}-{number}", []
        if way == "api":
            return f"/api/v1/uploads/{upload}/parts/{number}", self._token()
        return f"/v1/uploads/{upload}/part", self.ticket(Verb.PART, upload, owner=OWNER, part=number)

    def piece(self, size: int) -> Path:
        path = self.folder / f"piece-{size}"
        if not path.exists():
            path.write_bytes(secrets.token_bytes(size))
        return path


def kills(bench: Bench, seeds: int) -> int:
    """Kill the service at a random moment of an upload, start it anew, send what it lacks: how many came out whole."""
    base, whole = f"http://127.0.0.1:{bench.ports['files']}", 0
    for seed in range(seeds):
        chance, upload = random.Random(seed), f"up-{secrets.token_hex(16)}"  # noqa: S311 - bytes to try with
        content = bench.folder / "content"
        content.write_bytes(chance.randbytes(2**16) * 1024)  # 64 MiB, four parts
        size, sha256 = content.stat().st_size, hashlib.sha256(content.read_bytes()).hexdigest()
        claims = {"size": size, "name": "a.wav", "type": "audio/wav", "owner": OWNER, "sha256": sha256}
        curl("-X", "POST", *bench.ticket(Verb.CREATE, upload, **claims), f"{base}/v1/uploads/{upload}")
        for number in range(1, parts_of(size) + 1):
            piece = bench.folder / f"part-{number}"
            piece.write_bytes(content.read_bytes()[(number - 1) * PART_BYTES : number * PART_BYTES])
            words = ["curl", "-sSf", "-o", "/dev/null", "--limit-rate", "60M", "-H", "Expect:", "-X", "PUT",
                     *bench.ticket(Verb.PART, upload, owner=OWNER, part=number), "--data-binary", f"@{piece}",
                     f"{base}/v1/uploads/{upload}/part"]  # fmt: skip
            sending = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            if number == 1 + seed % 4:
                time.sleep(chance.random() * 0.25)
                bench.running["files"].send_signal(signal.SIGKILL)
                bench.running["files"].wait()
                sending.wait()
                time.sleep(1)  # tickets are whole seconds: one from before the new process is refused
                bench.start_files()
                continue
            sending.wait()
        for _ in range(2):
            ask = ["curl", "-sSf", *bench.ticket(Verb.STATUS, upload, owner=OWNER), f"{base}/v1/uploads/{upload}"]
            there = json.loads(subprocess.run(ask, check=True, capture_output=True).stdout)["parts"]
            for number in set(range(1, parts_of(size) + 1)) - set(there):
                head = bench.ticket(Verb.PART, upload, owner=OWNER, part=number)
                curl(
                    *head,
                    "-X",
                    "PUT",
                    "--data-binary",
                    f"@{bench.folder}/part-{number}",
                    f"{base}/v1/uploads/{upload}/part",
                )
        end = ["curl", "-sSf", "-X", "POST", *bench.ticket(Verb.COMPLETE, upload, owner=OWNER)]
        done = json.loads(
            subprocess.run([*end, f"{base}/v1/uploads/{upload}/complete"], check=True, capture_output=True).stdout
        )
        whole += hashlib.sha256((bench.store / NAMESPACE / "uploads" / done["key"]).read_bytes()).hexdigest() == sha256
        subprocess.run(["rm", "-rf", str(bench.store / NAMESPACE / "uploads" / upload)], check=True)
    return whole


def cut_off(bench: Bench, seeds: int) -> int:
    """Kill the service at a random byte of a download through the API; the client goes on: how many came whole."""
    address, whole = f"http://127.0.0.1:{bench.ports['api']}/api/v1/jobs/song/outputs/song", 0
    song, came = bench.store / ATTEMPT / "song.wav", bench.folder / "came"
    words = ["curl", "-sS", "-f", "-C", "-", "-o", str(came), "-H", f"Authorization: Bearer {GOOD_TOKEN}", address]
    for seed in range(seeds):
        came.unlink(missing_ok=True)
        at = random.Random(seed).randrange(1, bench.size)  # noqa: S311 - a byte to try with
        coming = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while coming.poll() is None and not (came.exists() and came.stat().st_size >= at):
            time.sleep(0.001)
        bench.running["files"].kill()
        bench.running["files"].wait()
        coming.wait()
        bench.start_files()
        if came.stat().st_size < bench.size:
            subprocess.run(words, check=True)
        whole += subprocess.run(["cmp", "-s", str(song), str(came)], check=False).returncode == 0
    came.unlink(missing_ok=True)
    return whole


def zipped(bench: Bench) -> None:
    """Ten files of 1 GiB of holes as one zip: what it costs in memory, and when its first byte comes."""
    with (bench.store / ATTEMPT / "hole").open("wb") as file:
        file.truncate(2**30)
    one = {"key": f"{ATTEMPT}/hole", "bytes": 2**30, "sha256": "0" * 64, "crc32": "00000000"}
    listed = json.dumps({"entries": [{**one, "name": f"{number}.wav"} for number in range(10)]})
    claims = {"name": "a.zip", "body": hashlib.sha256(listed.encode()).hexdigest()}
    before = peak(bench.running["files"].pid)
    speed, first = curl(
        *bench.ticket(Verb.ZIP, NAMESPACE, **claims), "-d", listed, f"http://127.0.0.1:{bench.ports['files']}/v1/zip"
    )
    after = peak(bench.running["files"].pid)
    print(f"zip of 10 GiB: {speed:.0f} MiB/s, first byte {1000 * first:.1f} ms, {after - before:.1f} MiB more")


def serve_api(told: dict[str, Any]) -> None:
    """The API, in a process of its own, over jobs in memory: one job with the song as its output."""
    key = _NoKeeping(None, "", "", "", ())  # type: ignore[arg-type] # nothing is asked of the cluster
    key.signer = Signer(bytes.fromhex(told["seed"]))
    backend = MemoryBackend()
    backend.reachable = {NAMESPACE}
    phases = [{"name": "separate", "attempt": 1, "state": "Succeeded", "manifest": told["manifest"]}]
    backend.store(
        {"metadata": {"name": "song", "uid": UID}, "spec": {}, "status": {"state": "Succeeded", "phases": phases}}
    )
    settings, metrics = ApiSettings(namespace=NAMESPACE, host="127.0.0.1", port=told["port"]), ApiMetrics()
    jobs = {NAMESPACE: NamespaceJobs(reader=backend, live=backend, writer=backend)}
    through = HttpFiles(f"http://127.0.0.1:{told['files']}", key)
    app = create_app(settings, replace(backend.backend(), jobs=jobs, files=through), backend.stopping, metrics)
    asyncio.run(uvicorn.Server(_config(app, settings, metrics)).serve())


def publish(bench: Bench) -> dict[str, Any]:
    """The manifest of the song; the reference that a status has."""
    row = {"name": "song", "file": "song.wav", "mediaType": "audio/wav", "bytes": bench.size, "sha256": bench.song}
    content = json.dumps({
        "apiVersion": "audiojobs.dev/v1alpha1", "job": "song", "namespace": NAMESPACE, "uid": UID, "phase": "separate",
        "attempt": 1, "task": "Separate", "fingerprint": "0" * 64, "outputs": [row],
        "createdTime": "2026-11-29T00:00:00Z",
    }).encode()  # fmt: skip
    (bench.store / ATTEMPT / "manifest.json").write_bytes(content)
    return {"key": f"{ATTEMPT}/manifest.json", "sha256": hashlib.sha256(content).hexdigest(), "count": 1}


HASHED = "nginx and a sha256"
WAYS = ("nginx", "files", "proxy", "api")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2**31)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--api", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.api:
        serve_api(json.loads(asked.api))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(["nginx"], folder / "nginx")
        bench = Bench(folder, asked.bytes)
        try:
            bench.start_files()
            bench.start_api()
            bench.start_nginx(folder / "nginx/usr/sbin/nginx")
            for what, ask in (("download", bench.download), ("upload", bench.upload)):
                ways = (*WAYS, HASHED) if what == "upload" else WAYS
                found: dict[str, list[float]] = {way: [] for way in ways}
                for _ in range(asked.rounds):
                    for way in ways:
                        found[way].append(ask(way))
                speeds = {way: statistics.median(each) for way, each in found.items()}
                print(f"{what}: " + ", ".join(f"{way} {speed:.0f}" for way, speed in speeds.items()) + " MiB/s;",
                      f"files / nginx {speeds['files'] / speeds['nginx']:.2f},",
                      f"api / nginx as proxy {speeds['api'] / speeds['proxy']:.2f}", flush=True)  # fmt: skip
                if HASHED in speeds:
                    print(f"  files / {HASHED}: {speeds['files'] / speeds[HASHED]:.2f}")
            print("peak: " + ", ".join(f"{each} {peak(bench.running[each].pid):.0f} MiB" for each in ("files", "api")))
            zipped(bench)
            print(f"kills: {kills(bench, asked.kills)} of {asked.kills} uploads whole", flush=True)
            print(f"kills: {cut_off(bench, asked.kills)} of {asked.kills} downloads whole", flush=True)
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
