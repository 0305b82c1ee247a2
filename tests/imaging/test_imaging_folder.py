import threading
import time

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch

from sr_kd.images import read_image
from sr_kd.imaging import folder
from sr_kd.imaging.folder import upscale_files
from sr_kd.imaging.jobs import Job, Naming, plan_jobs
from sr_kd.imaging.sizing import Sizing
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.networks.build import build_network

PHOTOGRAPH = skimage.data.astronaut()[:50, 100:164]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(12):
        PIL.Image.fromarray(np.roll(PHOTOGRAPH, index, axis=0)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def bicubic():
    return Upscaler(None, scale=2, device="cpu")


def test_results_are_the_upscalers_and_in_order(images, bicubic, tmp_path):
    jobs = plan_jobs([str(images)], str(tmp_path / "out"), Naming())
    told = []
    outcomes = upscale_files(bicubic, jobs, quiet=True, report=told.append)
    assert [outcome.job for outcome in outcomes] == jobs and set(told) == set(outcomes)
    for outcome in outcomes:
        assert (outcome.status, outcome.size) == ("done", (128, 100))
        expected = bicubic.upscale(read_image(outcome.job.source).pixels)
        np.testing.assert_array_equal(read_image(outcome.job.target).pixels, expected)


def test_threads_with_tiles_do_not_mix_their_images(images, tmp_path, monkeypatch):
    upscaler = Upscaler(build_network("FSRCNN", scale=2, init="bicubic").eval(), device="cpu", tile=32)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    jobs = plan_jobs([str(images)], str(tmp_path / "out"), Naming())
    assert {outcome.status for outcome in upscale_files(upscaler, jobs, quiet=True)} == {"done"}
    monkeypatch.undo()
    for job in jobs:
        np.testing.assert_array_equal(
            read_image(job.target).pixels, upscaler.upscale(read_image(job.source).pixels), job.source.name
        )


def test_existing_results_are_skipped(images, bicubic, tmp_path):
    jobs = plan_jobs([str(images)], str(tmp_path / "out"), Naming())
    upscale_files(bicubic, jobs[:5], quiet=True)
    times = [job.target.stat().st_mtime_ns for job in jobs[:5]]
    time.sleep(0.01)
    outcomes = upscale_files(bicubic, jobs, quiet=True, skip_existing=True)
    assert [outcome.status for outcome in outcomes] == ["skipped"] * 5 + ["done"] * 7
    assert [job.target.stat().st_mtime_ns for job in jobs[:5]] == times


def test_failures_stop_nothing(images, bicubic, tmp_path):
    (images / "03.png").write_bytes((images / "03.png").read_bytes()[:500])
    (images / "05.png").write_bytes(b"")
    jobs = plan_jobs([str(images)], str(tmp_path / "out"), Naming())
    jobs.append(Job(images / "00.png", tmp_path / "in" / "01.png" / "below-a-file.png"))
    jobs.append(Job(tmp_path / "gone.png", tmp_path / "out" / "gone.png"))
    outcomes = upscale_files(bicubic, jobs, quiet=True)
    failed = {outcome.job.source.name: outcome.error for outcome in outcomes if outcome.status == "failed"}
    assert sorted(failed) == ["00.png", "03.png", "05.png", "gone.png"]
    assert "damaged" in failed["03.png"] and "empty" in failed["05.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{index:02}.png" for index in range(12) if index not in (3, 5)
    ]


def test_links_that_lead_nowhere_fail_and_the_rest_goes_on(images, bicubic, tmp_path):
    (images / "gone.png").symlink_to("nothing.png")
    (images / "self.png").symlink_to("self.png")
    outcomes = upscale_files(bicubic, plan_jobs([str(images)], str(tmp_path / "out"), Naming()), quiet=True)
    failed = {outcome.job.source.name: outcome.error for outcome in outcomes if outcome.status == "failed"}
    assert sorted(failed) == ["gone.png", "self.png"] and len(outcomes) == 14
    assert "No such file or directory (it is a symbolic link to nothing.png)" in failed["gone.png"]
    assert "(it is a symbolic link to self.png)" in failed["self.png"]


def test_a_size_out_of_reach_fails_for_that_image_alone(images, bicubic, tmp_path):
    PIL.Image.fromarray(PHOTOGRAPH[:, :20]).save(images / "narrow.png")
    jobs = plan_jobs([str(images)], str(tmp_path / "out"), Naming())
    outcomes = upscale_files(bicubic, jobs, sizing=Sizing(width=100), quiet=True)
    assert {outcome.size for outcome in outcomes[:-1]} == {(100, 78)}
    assert "x5 of 20x50" in outcomes[-1].error


def test_what_the_format_cannot_hold_is_refused_before_the_work(tmp_path):
    PIL.Image.fromarray(np.dstack([PHOTOGRAPH, PHOTOGRAPH[..., 0]])).save(tmp_path / "x.png")

    class Untouched(Upscaler):
        def upscale(self, *arguments, **options):
            raise AssertionError("computed for nothing")

    (outcome,) = upscale_files(Untouched(device="cpu"), [Job(tmp_path / "x.png", tmp_path / "x.jpg")], quiet=True)
    assert "JPEG has no transparency" in outcome.error


def test_the_bar_counts_the_tiles_of_a_single_image(images, tmp_path, capsys):
    upscaler = Upscaler(None, device="cpu", tile=16)
    upscale_files(upscaler, [Job(images / "00.png", tmp_path / "x.png")])
    assert "16/16" in capsys.readouterr().err


class Watched(Upscaler):
    """Remembers how many images were computed at once, and with how many threads."""

    def __init__(self, network=None, **options):
        super().__init__(network, device="cpu", **options)
        self.lock, self.busy, self.most, self.threads = threading.Lock(), 0, 0, set()

    def upscale(self, *arguments, **options):
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
            self.threads.add(torch.get_num_threads())
        time.sleep(0.02)
        try:
            return super().upscale(*arguments, **options)
        finally:
            with self.lock:
                self.busy -= 1


@pytest.mark.parametrize(("large", "precision"), [(0, "fp32"), (2**25, "bf16"), (2**25, "fp32")])
def test_small_images_share_the_threads_and_large_ones_have_them_all(images, tmp_path, monkeypatch, large, precision):
    monkeypatch.setattr(folder, "LARGE", large)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        upscaler = Watched(build_network("FSRCNN", scale=2), precision=precision)
        upscale_files(upscaler, plan_jobs([str(images)], str(tmp_path / "out"), Naming()), quiet=True)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    together = large > 0 and precision == "fp32"
    assert (1 < upscaler.most <= 4) if together else upscaler.most == 1
    assert upscaler.threads == {1 if together else 4}


def test_results_that_wait_to_be_written_are_bounded_and_one_always_may():
    budget = folder._MemoryBudget(10)
    with budget.hold(100):
        held = budget.hold(1)
        waiting = threading.Thread(target=held.__enter__)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    with budget.hold(9):  # beside the one byte that is still held
        crowded = threading.Thread(target=budget.hold(1).__enter__)
        crowded.start()
        crowded.join(0.05)
        assert crowded.is_alive()
    crowded.join(5)


def test_an_interrupt_gives_up_what_is_half_done(tmp_path, monkeypatch):
    class Slow(Upscaler):
        def upscale(self, *arguments, progress, **options):
            def slowly(done, total):
                time.sleep(0.02)
                progress(done, total)

            return super().upscale(*arguments, progress=slowly, **options)

    def interrupted(outcome):
        raise KeyboardInterrupt

    sources = tmp_path / "in"
    sources.mkdir()
    PIL.Image.fromarray(PHOTOGRAPH[:8, :8]).save(sources / "quick.png")
    PIL.Image.fromarray(PHOTOGRAPH).save(sources / "slow.png")  # 400 tiles
    monkeypatch.setattr(folder, "READ_AHEAD", 1)  # so the first is computed first
    jobs = plan_jobs([str(sources)], str(tmp_path / "out"), Naming())
    with pytest.raises(KeyboardInterrupt):
        upscale_files(Slow(None, device="cpu", tile=3), jobs, quiet=True, report=interrupted)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["quick.png"]


def test_few_images_of_a_wide_network_are_computed_at_once():
    wide = build_network("CARN", scales=[4])
    assert 1 <= Upscaler(wide, device="cpu").concurrent_images < 4 < Upscaler(None, device="cpu").concurrent_images
    assert Upscaler(wide, device="cpu", precision="bf16").concurrent_images == 1
