"""Memory that is freed in the worker of Separate stays with the process."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

BLOCKS = 2
ROUNDS = 4
# Blocks as a network's: all of 20 MiB at once, and all free, again and again. Prints how many pages the kernel gave.
PROGRAM = f"""
import json, resource, sys
from audiojob_runner.separation.allocator import keep_freed_memory
kept = sys.argv[1] == "kept" and keep_freed_memory()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range({ROUNDS}):
    blocks = [b"1" * (20 << 20) for _ in range({BLOCKS})]
    del blocks
print(json.dumps({{"kept": kept, "faults": faults() - before}}))
"""


def _run(how: str) -> dict[str, int]:
    # What mallopt sets holds for a whole process, so that each case needs one of its own.
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_blocks_that_are_freed_and_asked_for_again_are_not_taken_from_the_kernel_each_time() -> None:
    plain, kept = _run("plain"), _run("kept")
    assert kept["kept"]
    assert kept["faults"] * ROUNDS < plain["faults"] * 2
