"""Streamed batches equal the pool's; failures of workers are told; nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from crops import mod_crop
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import multiprocessing

from sr_kd.data.cache import PixelCache
from sr_kd.data.embedded import embedded_files
from sr_kd.data.patch_reader import PatchReader, lr_region
from sr_kd.data.patches import PatchSource, open_patches
from sr_kd.data.prepare import Preparation, prepare
from sr_kd.data.resize import make_lr
from sr_kd.data.sampler import PatchSampler
from sr_kd.data.sets import ImageSet, open_set
from sr_kd.data.streaming import StreamedPatches
from sr_kd.errors import SrKdError
from sr_kd.images import read_image

MIB = 2**20


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs cut up: as HR files, as HR and LR files, and as LMDBs."""
    root = tmp_path_factory.mktemp("prepared")
    (root / "whole").mkdir()
    for number, path in enumerate(embedded_files("scikit-image:held_out")):
        image = PIL.Image.open(path)
        (image.convert("L") if number == 1 else image).save(root / "whole" / f"{path.stem}.png")
    images = open_set(str(root / "whole"), scale=3)
    for lmdb in (False, True):
        prepare(Preparation(images, (3,), root / f"lmdb_{lmdb}", 150, 150, lmdb), workers=0, quiet=True)
    return root


def open_kind(prepared: Path, kind: str) -> ImageSet:
    if kind == "hr":
        return open_set(str(prepared / "whole"), scale=3)
    if kind == "pairs":
        return open_set(str(prepared / "lmdb_False"), scale=3, dataroot_lq=str(prepared / "lmdb_False"))
    folder = prepared / "lmdb_True"
    return open_set(str(folder / "HR.lmdb"), scale=3, dataroot_lq=str(folder / "LR_bicubic_X3.lmdb"))


def open_source(
    images: ImageSet, budget_mib: float, workers: int = 0, color: str = "y", share: tuple[int, int] = (0, 1)
) -> PatchSource:
    sampler = PatchSampler(images.lr_sizes, 48 // images.scale, 17, seed=1, stream="student", share=share)
    budget, cpu = budget_mib / 1024, torch.device("cpu")
    return open_patches(images, sampler, color=color, device=cpu, memory_budget_gib=budget, workers=workers)


@pytest.fixture
def streamed(prepared: Path) -> Iterator[StreamedPatches]:
    """One worker, HR files."""
    source = open_source(open_kind(prepared, "hr"), 1, workers=1)
    assert isinstance(source, StreamedPatches)
    yield source
    source.close()


def assert_equal(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("color", ["y", "rgb"])
@pytest.mark.parametrize("kind", ["hr", "pairs", "lmdb"])
def test_batches_equal_the_pool_s(prepared, kind, color):
    images = open_kind(prepared, kind)
    pooled, streamed = open_source(images, 500, color=color), open_source(images, 1, color=color)
    for iteration in (0, 1, 2, 40, 3):
        assert_equal(streamed.batch(iteration), pooled.batch(iteration))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", ["hr", "pairs", "lmdb"])
def test_any_number_of_workers_gives_the_same_batches(prepared, kind, workers):
    images = open_kind(prepared, kind)
    pooled, streamed = open_source(images, 500), open_source(images, 1, workers)
    try:
        for iteration in (*range(12), 100, 101, 7):
            assert_equal(streamed.batch(iteration), pooled.batch(iteration))
    finally:
        streamed.close()


def test_the_ranks_together_see_the_global_batch(prepared):
    images = open_kind(prepared, "hr")
    whole = open_source(images, 500).batch(4)
    parts = [open_source(images, 1, share=(rank, 3)).batch(4) for rank in range(3)]
    assert_equal(tuple(torch.cat(sizes) for sizes in zip(*parts, strict=True)), whole)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return mod_crop(read_image(embedded_files("scikit-image:held_out")[1]).pixels, 12)


@settings(max_examples=40, deadline=None)
@given(scale=st.sampled_from([2, 3, 4]), side=st.integers(1, 40), data=st.data())
def test_lr_of_a_region_is_the_region_of_lr(photograph, scale, side, data):
    height, width = photograph.shape[0] // scale, photograph.shape[1] // scale
    top, left = data.draw(st.integers(0, height - side)), data.draw(st.integers(0, width - side))
    whole = make_lr(photograph, scale)
    assert np.array_equal(lr_region(photograph, top, left, side, scale), whole[top : top + side, left : left + side])


@given(size=st.integers(0, 60), puts=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30), st.integers(0, 9))))
def test_the_cache_returns_what_was_put_in_or_nothing(size, puts):
    cache, known = PixelCache(size), {}
    for number, (key, first, second) in enumerate(puts):
        if cache.get(key) is None:
            known[key] = [np.full((1, first), number, np.uint8), np.full(second, number + 1, np.uint8)]
            cache.put(key, known[key])
            assert (cache.get(key) is None) == (first + second > size)
        kept = {other: cache.get(other) for other in known if cache.get(other) is not None}
        assert sum(array.nbytes for arrays in kept.values() for array in arrays) <= size
        for other, arrays in kept.items():
            assert all(np.array_equal(one, two) for one, two in zip(arrays, known[other], strict=True))


def test_cached_images_are_not_decoded_again(prepared, tmp_path):
    copies = [tmp_path / f"{name}.png" for name in "ab"]
    for copy in copies:
        copy.write_bytes((prepared / "whole" / "coffee.png").read_bytes())
    reader = PatchReader(open_set(str(tmp_path), scale=3), 10, 5 * MIB)
    expected = reader.cut(0, 3, 4)
    for copy in copies:
        copy.unlink()
    assert all(np.array_equal(one, two) for one, two in zip(reader.cut(0, 3, 4), expected, strict=True))
    with pytest.raises(SrKdError, match=r"b\.png"):
        reader.cut(1, 3, 4)


def test_an_image_that_breaks_while_streaming_is_named(tmp_path):
    path = tmp_path / "breaking.png"
    PIL.Image.open(embedded_files("scikit-image:held_out")[0]).save(path)
    source = open_source(open_set(str(tmp_path), scale=3), 0.1, workers=1)
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(SrKdError, match=r"breaking\.png"):
        source.batch(0)
    source.close()


def test_a_killed_worker_is_reported(streamed):
    streamed.batch(0)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(SrKdError, match=r"reads images was killed by signal 9; where memory is short"):
        for iteration in range(1, 20):
            streamed.batch(iteration)


def test_closing_or_forgetting_ends_the_workers(prepared, streamed):
    streamed.batch(0)
    assert multiprocessing.active_children()
    streamed.close()
    assert not multiprocessing.active_children()
    forgotten = open_source(open_kind(prepared, "hr"), 1, workers=1)
    forgotten.batch(0)
    del forgotten
    gc.collect()
    assert not multiprocessing.active_children()


def test_workers_end_with_a_killed_main_process(prepared, tmp_path, repository):
    import subprocess
    import sys

    script = tmp_path / "main.py"
    script.write_text(
        "import os, sys, torch\n"
        "from sr_kd.data.patches import open_patches\n"
        "from sr_kd.data.sampler import PatchSampler\n"
        "from sr_kd.data.sets import open_set\n"
        "if __name__ == '__main__':\n"
        "    images, cpu = open_set(sys.argv[1], scale=3), torch.device('cpu')\n"
        "    sampler = PatchSampler(images.lr_sizes, 16, 4, seed=0, stream='s')\n"
        "    source = open_patches(images, sampler, color='y', device=cpu, memory_budget_gib=0.001, workers=1)\n"
        "    source.batch(0)\n"
        "    print(torch.multiprocessing.active_children()[0].pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, script, prepared / "whole"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    worker = int(done.stdout)
    for _ in range(50):
        if not _alive(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived the process that started it")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_too_little_shared_memory_is_an_error(prepared, monkeypatch):
    monkeypatch.setattr("sr_kd.data.readers._SHARED", Path("/proc"))  # a file system without room
    source = open_source(open_kind(prepared, "hr"), 1, workers=1)
    with pytest.raises(SrKdError, match=r"shared memory .* --shm-size"):
        source.batch(0)
