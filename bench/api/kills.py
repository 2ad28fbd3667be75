"""Two replicas of the API with PostgreSQL, killed, put to sleep and cut off: ``python bench/api/kills.py``.

Jobs are made over both, end, and are deleted once they are archived. Nothing may be lost or counted twice, and no user
may have more than the limits allow. ``--seed`` repeats a run's accidents.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.api.create import account_of_the_api
from bench.harness import machine
from tests.support.databases.postgres import Postgres
from tests.support.faults.replicas import Bounds, Replicas, faults_of

from audiojob_dev.cluster.apiserver import fresh_apiserver

SECONDS_BETWEEN = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--day", type=int, help="jobs that each of four users may make; 70 a minute where absent")
    asked = parser.parse_args()
    print(f"{machine()}; seed {asked.seed}")
    bounds = Bounds(asked.day or max(1, round(70 * asked.minutes)), at_once=8)
    with (
        fresh_apiserver("bench") as server,
        Postgres(durable=True) as postgres,
        tempfile.TemporaryDirectory() as folder,
    ):
        namespace, kubeconfig = account_of_the_api(server, Path(folder))
        replicas = Replicas(server, namespace, kubeconfig, postgres.create("bench"), bounds)
        try:
            seconds = 60 * asked.minutes
            seen = replicas.run(seconds, asked.seed, max(1, round(seconds / SECONDS_BETWEEN)), postgres)
            found, epoch = asyncio.run(faults_of(replicas))
        finally:
            replicas.stop()
    print(f"  accidents {dict(seen.accidents)}, writers {epoch}, answers {dict(seen.answers)}")
    print(f"  {len(seen.users)} jobs; of each user {sorted(seen.by_user.values())}, at most {bounds.day}")
    print(f"  at once {sorted(seen.most_at_once.values())}, at most {bounds.at_once}")
    print("\n".join(f"  WRONG: {each}" for each in found) or "  nothing lost, nothing twice, limits held")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
