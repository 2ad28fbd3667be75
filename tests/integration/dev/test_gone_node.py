"""A start after an embedded cluster that was killed and whose folder is gone, in namespaces of their own.

Programs, network and mounts are apart from the machine's, so that its own cluster is neither seen nor harmed; iptables
and kube-proxy are real.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="makes namespaces and rules")

# Without the cgroups' mounts nobody's pods can be killed.
_NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc")
_APART = (*_NAMESPACES, "sh", "-c", 'umount -lR /sys/fs/cgroup; "$@"', "sh")
_SCRIPT = """
import subprocess, sys
from pathlib import Path
from audiojob_dev.cluster import embedded, host
from audiojob_dev.errors import DevError
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress

def iptables(*arguments):
    subprocess.run(["iptables", "-w", "-t", "nat", *arguments], check=True)

ours, running = sys.argv[1:]
assert "cgroup" not in Path("/proc/self/mounts").read_text()
if ours == "ours":
    host.prepare_network("10.254.0.1")
iptables("-N", "KUBE-SERVICES")
# As kube-proxy writes it, which removes no other form.
iptables("-A", "PREROUTING", "-m", "comment", "--comment", "kubernetes service portals", "-j", "KUBE-SERVICES")
node = subprocess.Popen([running, "60"]) if running else None
try:
    embedded.claim_machine(paths_from_environment(), Progress(sys.stderr))
except DevError as error:
    print("refused:", error)
finally:
    if node:
        node.kill()
        node.wait()
print("rules:", host.has_service_rules(), host.has_rules_of_ours())
"""


def start_after(ours: str, running: str = "") -> str:
    done = subprocess.run(
        [*_APART, sys.executable, "-c", _SCRIPT, ours, running],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_of_an_embedded_cluster_that_is_gone_are_removed() -> None:
    assert start_after("ours") == "rules: False False\n"


def test_rules_of_a_node_of_somebody_else_stay_and_are_told() -> None:
    told = start_after("not ours")
    assert "refused: this machine already has a Kubernetes node" in told
    assert "rules: True False" in told


def test_rules_stay_where_any_node_runs(tmp_path: Path) -> None:
    kubelet = shutil.copy("/bin/sleep", tmp_path / "kubelet")
    told = start_after("ours", str(kubelet))
    assert "refused: this machine already has a Kubernetes node" in told
    assert "rules: True True" in told
