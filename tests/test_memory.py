"""Memory that stays with the process, measured by page faults; and where there is too little of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sr_kd.memory

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


def test_no_image_is_decoded_where_libvips_has_no_room_for_its_threads(tmp_path):
    """It would end the process by SIGSEGV."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("system: what is mapped is read in /proc")
    program = """
import resource, sys
from pathlib import Path
from sr_kd.errors import SrKdError
from sr_kd.images import Image, read_image, write_image
from sr_kd.memory import free_address_space
import numpy as np

assert free_address_space() is None
image = Image(np.zeros((9, 9, 3), np.uint8))
write_image(Path("a.png"), image)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))
assert 0 < free_address_space() <= 2**25
for act in (lambda: read_image(Path("a.png")), lambda: write_image(Path("b.png"), image)):
    try:
        act()
    except SrKdError as error:
        print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cannot read a.png: not enough memory\ncannot write b.png: not enough memory\n"


@pytest.mark.parametrize("mebibytes", [1000, 2900])
def test_too_few_addresses_for_pytorch_are_one_sentence(tmp_path, mebibytes):
    """Its libraries would end the process, or never be loaded, where a little is missing."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("system: what is mapped is read in /proc")
    program = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_AS, ({mebibytes} * 2**20,) * 2); "
        "from sr_kd.cli.main import main; sys.exit(main(['status', 'no.yml']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "error: out of memory: the limit of addresses (ulimit -v) leaves no room for PyTorch" in done.stderr


def test_an_attempt_to_load_pytorch_that_never_ends_is_no_room(monkeypatch):
    """As was seen 100 MiB above what ends it by a signal."""
    monkeypatch.setattr(sr_kd.memory, "free_address_space", lambda: 2**31)
    monkeypatch.setattr(sr_kd.memory, "_SECONDS", 1)
    monkeypatch.setattr(sr_kd.memory, "_LITTLE", "exec('while True: pass')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not sr_kd.memory.torch_fits()
