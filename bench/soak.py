"""Random faults and kills, invariants checked: ``python bench/soak.py [--runs 100] [--seed 1] [--operators 1]
[--overlap | --pools]``.

Each run has a namespace, two to four jobs of two or three phases, an operator behind the fault proxy, and a plan of
faults and kills that its seed draws; pods are played. A run that breaks an invariant (docs/faults.md) is printed with
its seed; ``--runs 1 --seed <that>`` makes the same faults again. Exit status 1 if there was one. With ``--operators 2``
two of them share one Lease; kills hit the one that leads, and the other takes over. With ``--pools`` most phases are
done by workers, which are harmed too, and their pools are closed, changed and deleted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.faults.soak import Ground, Result, reference_run, soak_run

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries

_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="how many runs (100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run; each next one is one more (1)")
    parser.add_argument("--operators", type=int, default=1, help="how many operators share the Lease of a run (1)")
    more = parser.add_mutually_exclusive_group()
    for ground, what in (
        (Ground.OVERLAP, "let pods begin early, on a node and with time to work"),
        (Ground.POOLS, "the same, and pools whose workers do most phases"),
    ):
        more.add_argument(f"--{ground}", action="store_const", dest="ground", const=ground, help=what)
    parser.set_defaults(ground=Ground.PLAIN)
    return parser.parse_args()


def soak(runs: int, seed: int, operators: int, ground: Ground) -> list[Result]:
    """All runs on one API server of their own, told one by one."""
    with Progress() as progress:
        programs = binaries.ensure(paths_from_environment(), _PROGRAMS, progress)
    results = []
    with tempfile.TemporaryDirectory(prefix="audiojob-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = LocalApiServer(folder / "server", programs)
        server.start()
        try:
            server.apply_crds(repository() / "crds")
            server.start_controllers()
            reference = reference_run(server, folder, ground=ground)
            for number in range(seed, seed + runs):
                results.append(soak_run(server, folder, number, reference, operators, ground=ground))
                report(results[-1])
        finally:
            server.stop()
    return results


def report(result: Result) -> None:
    """One line, and everything about a run that broke something."""
    verdict = "ok" if not result.breaches else "BROKEN"
    print(
        f"seed {result.seed}: {verdict}, {result.faults} faults, {result.kills} kills, "
        f"{result.handovers} hand-overs, {result.seconds:.1f} s",
        flush=True,
    )
    for breach in result.breaches:
        print(f"  {breach}")
    if result.breaches:
        print(result.story)


def main() -> int:
    options = arguments()
    began = time.monotonic()
    results = soak(options.runs, options.seed, options.operators, options.ground)
    broken = [result.seed for result in results if result.breaches]
    faults, kills = sum(result.faults for result in results), sum(result.kills for result in results)
    handovers = sum(result.handovers for result in results)
    print(
        f"{len(results)} runs in {time.monotonic() - began:.0f} s: {faults} faults, {kills} kills, "
        f"{handovers} hand-overs, {len(broken)} runs broke an invariant"
        + (f": seeds {', '.join(map(str, broken))}" if broken else ""),
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
