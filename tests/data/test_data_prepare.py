"""``sr-kd prepare``: what it makes, going on after an interruption, and its errors."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sr_kd.data.prepare
from sr_kd.data.embedded import embedded_files
from sr_kd.data.parallel import parallel_map, signals_later
from sr_kd.data.prepare import Preparation, prepare, tile_starts
from sr_kd.data.resize import make_lr
from sr_kd.data.sets import open_set
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import read_image


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs") / "mine"
    folder.mkdir()
    for path in embedded_files("scikit-image:held_out")[:3]:
        PIL.Image.fromarray(read_image(path).pixels[:130, :151]).save(folder / f"{path.stem}.png")
    return folder


def plan(photographs: Path, output: Path, scales: tuple[int, ...] = (2,), **options: object) -> Preparation:
    return Preparation(open_set(str(photographs), scale=int(np.lcm.reduce(scales))), scales, output, **options)


@settings(deadline=None)
@given(length=st.integers(1, 3000), crop=st.integers(1, 600), step=st.integers(1, 600))
def test_tiles_lie_inside_and_reach_both_borders(length, crop, step):
    starts = tile_starts(length, crop, step)
    assert starts[0] == 0 and starts == sorted(set(starts))
    if length <= crop:
        assert starts == [0]
    else:
        assert starts[-1] + crop == length
        assert max(np.diff(starts), default=0) <= step


def test_lr_of_several_scales_is_made(photographs, tmp_path):
    assert prepare(plan(photographs, tmp_path / "out", (2, 3)), workers=0, quiet=True) == 3
    for scale in (2, 3):
        images = open_set(str(tmp_path / "out"), scale=scale, dataroot_lq=str(tmp_path / "out"))
        assert images.names == ["astronaut", "chelsea", "coffee"]
        pair = images.read(1)
        assert np.array_equal(pair.hr, read_image(photographs / "chelsea.png").pixels[:126, :150])
        assert np.array_equal(pair.lr, make_lr(pair.hr, scale))
    listing = tmp_path / "out" / "meta_info.txt"
    assert listing.read_text().splitlines()[0] == "astronaut.png (126,150,3)"
    assert len(open_set(str(tmp_path / "out"), scale=2, meta_info_file=str(listing))) == 3


@pytest.mark.parametrize("lmdb", [False, True])
def test_sub_images_are_cut_from_the_whole_pair(photographs, tmp_path, lmdb):
    prepare(plan(photographs, tmp_path, crop=64, step=40, lmdb=lmdb), workers=0, quiet=True)
    roots = ("HR.lmdb", "LR_bicubic_X2.lmdb") if lmdb else ("HR", "LR_bicubic/X2")
    images = open_set(str(tmp_path / roots[0]), scale=2, dataroot_lq=str(tmp_path / roots[1]))
    assert len(images) == 3 * 3 * 4  # tops 0 40 66, lefts 0 40 80 86
    whole = open_set(str(photographs), scale=2).read(0)
    pair = images.read(images.names.index("astronaut_s006"))
    assert np.array_equal(pair.hr, whole.hr[40:104, 40:104])
    assert np.array_equal(pair.lr, whole.lr[20:52, 20:52])


def test_given_lr_images_are_kept(photographs, tmp_path):
    prepare(plan(photographs, tmp_path / "first"), workers=0, quiet=True)
    lr = tmp_path / "first" / "LR_bicubic" / "X2" / "coffeex2.png"
    PIL.Image.new("RGB", PIL.Image.open(lr).size, (1, 2, 3)).save(lr)
    images = open_set(str(tmp_path / "first"), scale=2, dataroot_lq=str(tmp_path / "first"))
    prepare(Preparation(images, (2,), tmp_path / "second", lmdb=True), workers=0, quiet=True)
    again = open_set(str(tmp_path / "second/HR.lmdb"), scale=2, dataroot_lq=str(tmp_path / "second/LR_bicubic_X2.lmdb"))
    assert (again.read(2).lr == (1, 2, 3)).all()
    with pytest.raises(UsageError, match="LR images of one scale were given"):
        Preparation(images, (2, 3), tmp_path / "third")


def test_only_what_is_missing_is_made(photographs, tmp_path):
    preparation = plan(photographs, tmp_path / "out", crop=64, step=64)
    prepare(preparation, workers=0, quiet=True)
    kept, missing = tmp_path / "out/HR/coffee_s001.png", tmp_path / "out/LR_bicubic/X2/chelsea_s002x2.png"
    content, time = missing.read_bytes(), kept.stat().st_mtime_ns
    missing.unlink()
    assert prepare(preparation, workers=0, quiet=True) == 1
    assert missing.read_bytes() == content and kept.stat().st_mtime_ns == time
    assert prepare(preparation, workers=0, quiet=True) == 0


def test_what_others_keep_beside_is_left_alone(photographs, tmp_path):
    """Also where it is hidden, old, and named like a temporary file."""
    kept = tmp_path / "out" / ".cat.original.png"
    kept.parent.mkdir()
    kept.touch()
    os.utime(kept, (0, 0))
    prepare(plan(photographs, tmp_path / "out"), workers=0, quiet=True)
    assert kept.exists()


def test_an_interrupted_lmdb_is_completed(photographs, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in photographs.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    content = (damaged / "coffee.png").read_bytes()
    (damaged / "coffee.png").write_bytes(content[:20_000] + bytes(1_000) + content[21_000:])  # seen when it is decoded
    with pytest.raises(SrKdError, match=r"coffee\.png"):
        prepare(plan(damaged, tmp_path / "out", lmdb=True), workers=0, quiet=True)
    (damaged / "coffee.png").write_bytes(content)
    assert prepare(plan(damaged, tmp_path / "out", lmdb=True), workers=0, quiet=True) == 1
    assert len(open_set(str(tmp_path / "out" / "HR.lmdb"), scale=2)) == 3


class TestErrors:
    def test_other_options_in_the_same_folder(self, photographs, tmp_path):
        prepare(plan(photographs, tmp_path / "out"), workers=0, quiet=True)
        with pytest.raises(UsageError, match="was prepared with other scales, crop, step"):
            prepare(plan(photographs, tmp_path / "out", (2, 4), crop=64), workers=0, quiet=True)

    def test_a_folder_of_somebody_else(self, photographs, tmp_path):
        (tmp_path / "HR").mkdir()
        with pytest.raises(UsageError, match="was not made by `sr-kd prepare`"):
            prepare(plan(photographs, tmp_path), workers=0, quiet=True)

    @pytest.mark.parametrize("options", [{"crop": 65}, {"crop": 66, "step": 33}, {"crop": 0}])
    def test_sub_images_that_do_not_fit_the_scales(self, photographs, tmp_path, options):
        with pytest.raises(UsageError, match="must be a multiple of 6"):
            plan(photographs, tmp_path, (2, 3), **options)


@pytest.mark.slow
def test_the_command_works_in_parallel_and_resumes(photographs, tmp_path, run_cli):
    command = ("prepare", photographs, "-o", tmp_path / "out", "--scale", 2, "--lmdb", "--workers", 2)
    first = run_cli(*command)
    assert first.returncode == 0, first.stderr
    assert "3 of 3 images prepared" in first.stdout and "3/3" in first.stderr
    images = open_set(str(tmp_path / "out/HR.lmdb"), scale=2)
    for index, name in enumerate(images.names):
        assert np.array_equal(images.read_hr(index), read_image(photographs / f"{name}.png").pixels[:130, :150])
    second = run_cli(*command)
    assert second.returncode == 0 and "nothing to do" in second.stdout
    wrong = run_cli("prepare", tmp_path / "nothing", "-o", tmp_path / "x", "--quiet")
    assert wrong.returncode == 2 and "no folder" in wrong.stderr and "Traceback" not in wrong.stderr
    assert wrong.stdout == ""
    itself = run_cli("prepare", photographs, "-o", photographs / ".." / photographs.name)
    assert itself.returncode == 2 and "is the folder of the images themselves" in itself.stderr


def test_a_negative_number_of_workers_is_refused(photographs, tmp_path):
    with pytest.raises(UsageError, match="-1 worker processes are impossible"):
        prepare(plan(photographs, tmp_path / "out"), workers=-1, quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_signal_waits_until_a_worker_is_started_and_known():
    reached = False
    with pytest.raises(KeyboardInterrupt), signals_later():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached


def test_workers_end_with_a_killed_main_process(photographs, tmp_path, start_cli):
    if not Path("/proc/self/environ").exists():
        pytest.skip("system: processes are looked at in /proc")
    mark = f"{tmp_path.name}_{os.getpid()}"
    for index in range(200):
        shutil.copy(photographs / "coffee.png", tmp_path / f"{index}.png")
    arguments = ("prepare", tmp_path, "-o", tmp_path / "out", "--workers", 2, "--quiet")
    process = start_cli(*arguments, env={"SR_KD_MARK": mark})
    while len(list(tmp_path.glob("out/HR/*.png"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    assert len(marked(mark)) >= 4  # the command, two workers, and what starts them
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.1)
    assert marked(mark) == []


def test_a_killed_server_of_workers_is_one_sentence(photographs, tmp_path, start_cli):
    if not Path("/proc/self/environ").exists():
        pytest.skip("system: processes are looked at in /proc")
    mark = f"{tmp_path.name}_{os.getpid()}"
    arguments = ("prepare", photographs, "-o", tmp_path / "out", "--workers", 2, "--quiet")
    process = start_cli(*arguments, env={"SR_KD_MARK": mark})
    server: list[str] = []
    while not server and process.poll() is None:
        server = [
            number for number in marked(mark) if b"forkserver" in (Path("/proc") / number / "cmdline").read_bytes()
        ]
        time.sleep(0.01)
    os.kill(int(server[0]), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.strip() == (
        "sr-kd prepare: error: the process that starts the workers was killed, perhaps for want of memory: "
        "try fewer workers"
    )
    assert marked(mark) == []


@pytest.mark.parametrize("lmdb", [False, True])
def test_images_that_are_removed_meanwhile_are_a_failure(photographs, tmp_path, monkeypatch, lmdb):
    """The list of images is written last, and must not name what is gone."""
    made = tmp_path / "made"

    def removing(*arguments):
        yield from parallel_map(*arguments)
        shutil.rmtree(made)

    monkeypatch.setattr(sr_kd.data.prepare, "parallel_map", removing)
    with pytest.raises(SrKdError, match="removed meanwhile: remove what is left of it, and begin again"):
        prepare(plan(photographs, made, lmdb=lmdb), workers=0, quiet=True)
    assert not list(tmp_path.rglob("meta_info.txt"))


def marked(mark: str) -> list[str]:
    """The processes that have this in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"SR_KD_MARK={mark}".encode() in (place / "environ").read_bytes():
                found.append(place.name)
    return found
