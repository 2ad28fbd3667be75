"""Whether the chart's NetworkPolicies let phases reach what they may, and no more, once something enforces them.

``go install sigs.k8s.io/kube-network-policies/cmd@v0.8.0``, then ``python bench/chart/policies.py ENFORCER``. On the
embedded cluster, whose network ignores NetworkPolicies: first everything can be reached, then the program decides about
new connections of pods. It puts packets in its queue by a rule of nftables; for kernels without that (CONFIG_NFT_QUEUE)
rules of iptables do the same here. At last `helm test` must say that the policies are kept.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import machine
from bench.product import NAMESPACE
from bench.upgrades.releases import bring, cluster_and_release, remove
from bench.upgrades.work import told

from audiojob_dev.demo import install
from audiojob_dev.demo.store import restricted_pod
from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.webserver import serving
from audiojob_types.constants import LABEL_EGRESS

QUEUE = 100
PODS = "10.244.0.0/16"
METADATA, PUBLIC = "169.254.77.77", "192.88.99.77"  # a link-local and a public address; this machine has them meanwhile
ACCOUNT = "network-policies"
_NEW = ["-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", str(QUEUE)]
RULES = (["FORWARD", *_NEW], ["INPUT", "-s", PODS, *_NEW])
_ASK = """
import json, socket, sys, time
def ask(address):
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=4):
            return True
    except OSError:
        return False
time.sleep(float(sys.argv[1]))
print(json.dumps({each: ask(each) for each in sys.argv[2:]}))
"""
Expected = dict[str, dict[str, bool]]  # by egress label: address -> whether it may be reached


@contextmanager
def addresses() -> Iterator[None]:
    """This machine has both addresses while entered."""
    for address in (METADATA, PUBLIC):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=False)
    try:
        yield
    finally:
        for address in (METADATA, PUBLIC):
            subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=False)


@contextmanager
def server(address: str) -> Iterator[str]:
    """Something that takes connections there."""
    with serving(address, SimpleHTTPRequestHandler) as url:
        yield url.removeprefix("http://")


@contextmanager
def enforced(cluster: Cluster, program: Path, node: str) -> Iterator[None]:
    """The program decides about new connections while entered."""
    cluster.kubectl("-n", install.RELEASE_NAMESPACE, "create", "serviceaccount", ACCOUNT)
    resources = "--resource=pods,namespaces,nodes,networkpolicies.networking.k8s.io"
    cluster.kubectl("create", "clusterrole", ACCOUNT, "--verb=get,list,watch", resources)
    bound = f"--serviceaccount={install.RELEASE_NAMESPACE}:{ACCOUNT}"
    cluster.kubectl("create", "clusterrolebinding", ACCOUNT, f"--clusterrole={ACCOUNT}", bound)
    token = cluster.kubectl("-n", install.RELEASE_NAMESPACE, "create", "token", ACCOUNT, "--duration", "1h").strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    name = cluster.get("nodes")["items"][0]["metadata"]["name"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "token").write_text(token)
        (Path(folder) / "ca.crt").write_bytes(authority)
        with running(program, folder, node, name):
            yield
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", ACCOUNT)


@contextmanager
def running(program: Path, folder: str, node: str, name: str) -> Iterator[None]:
    """It reads its account where pods have theirs, so it gets a mount namespace of its own."""
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f'mkdir -p {place} && mount --bind "$0" {place} && exec "$@"'
    options = [f"--hostname-override={name}", "--disable-nri", "--metrics-bind-address=127.0.0.1:0"]
    command = ["unshare", "--mount", "sh", "-c", script, folder, str(program), *options]
    environment = {**os.environ, "KUBERNETES_SERVICE_HOST": node, "KUBERNETES_SERVICE_PORT": "6443"}
    log = Path(folder) / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        time.sleep(8)  # its caches; then packets that nobody decides about are dropped
        if process.poll() is not None:
            raise ToolError(f"the enforcer ended: {log.read_text()[-1500:]}")
        for rule in RULES:
            subprocess.run(["iptables", "-I", *rule], check=True)
        yield
    finally:
        for rule in RULES:
            subprocess.run(["iptables", "-D", *rule], check=False)
        process.terminate()
        process.wait()
        print(
            "the enforcer:", *[line for line in log.read_text().splitlines() if "error" in line.lower()][:3], sep="\n  "
        )


def ask(cluster: Cluster, image: str, label: str, wanted: list[str]) -> dict[str, bool]:
    """What a pod with that label reaches."""
    name = f"asks-{label}"
    pod = restricted_pod(name, image, ["python", "-c", _ASK, "6", *wanted], {})
    pod["metadata"]["labels"][LABEL_EGRESS] = label
    pod["spec"]["restartPolicy"] = "Never"
    where = ("-n", NAMESPACE)
    cluster.kubectl(*where, "create", "-f", "-", stdin=json.dumps(pod))
    try:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        cluster.kubectl(*where, "wait", done, f"pod/{name}", "--timeout=120s")
        found: dict[str, bool] = json.loads(cluster.kubectl(*where, "logs", name))
    finally:
        cluster.kubectl(*where, "delete", "pod", name, "--grace-period=1")
    return found


def compare(title: str, found: dict[str, bool], expected: dict[str, bool]) -> list[str]:
    """What is not as expected; all of it is printed."""
    print(f"{title}: " + ", ".join(f"{each} {'open' if is_open else 'closed'}" for each, is_open in found.items()))
    return [f"{title}: {each} is {found[each]}" for each in expected if found[each] is not expected[each]]


def run(program: Path) -> list[str]:
    """Everything open, then as the policies have it, then what helm test says."""
    cluster, release = cluster_and_release()
    node = install.node_address(cluster)
    try:
        with ExitStack() as stack:
            stack.enter_context(addresses())
            mine, other, metadata, public = (
                stack.enter_context(server(each)) for each in (node, node, METADATA, PUBLIC)
            )
            others: dict[str, Any] = {
                "networkPolicy.enabled": True,
                "fetch.allowedCIDRs": [f"{node}/32:{mine.split(':')[1]}"],
            }
            bring(cluster, release, others)
            api = cluster.get("-n", install.RELEASE_NAMESPACE, "pods", "-l", "app.kubernetes.io/component=api")[
                "items"
            ][0]
            pod = f"{api['status']['podIP']}:{api['spec']['containers'][0]['ports'][0]['containerPort']}"
            wanted = [f"{node}:6443", mine, other, f"{node}:10250", pod, metadata, public]
            store = dict.fromkeys(wanted, False) | {f"{node}:6443": True}
            expected: Expected = {"store": store, "internet": store | {mine: True, public: True}}
            image, wrong = release.images["runner"], []
            for label in expected:
                every = dict.fromkeys(wanted, True)
                wrong += compare(f"nobody enforces, {label}", ask(cluster, image, label, wanted), every)
            with enforced(cluster, program, node):
                for label, each in expected.items():
                    wrong += compare(f"enforced, {label}", ask(cluster, image, label, wanted), each)
                wrong += helm_test(cluster)
    finally:
        remove(cluster)
    return wrong


def helm_test(cluster: Cluster) -> list[str]:
    """The chart's own test of it."""
    try:
        told = cluster.helm("test", install.RELEASE, "-n", install.RELEASE_NAMESPACE, "--timeout", "3m")
    except ToolError as error:
        return [f"helm test: {error}"]
    print(
        "helm test:", "; ".join(line.strip() for line in told.splitlines() if line.startswith(("TEST SUITE", "Phase")))
    )
    return []


if __name__ == "__main__":
    print(machine(), flush=True)
    raise SystemExit(told(run(Path(sys.argv[1]))))
