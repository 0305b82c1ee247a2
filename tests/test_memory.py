"""Memory that stays with the process, measured by the page faults of feature maps that follow each other."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from sr_kd.memory import keep_freed_memory

def faults(maps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(maps):
        torch.ones(2**24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = {keep} and keep_freed_memory()
faults(30)
print(int(kept), faults(10))
"""


def _ten_maps(keep):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True)
    kept, faults = map(int, done.stdout.split())
    return kept, faults


def test_feature_maps_reuse_the_pages_of_earlier_ones():
    kept, faults = _ten_maps(True)
    if not kept:
        pytest.skip("system: the C library has no mallopt")
    assert faults < 0.1 * _ten_maps(False)[1]
