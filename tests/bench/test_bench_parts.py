"""The candidates do the same work; the tables say what was measured. Nothing here is timed."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

from sr_kd.bench.infer import InferenceBench, difference
from sr_kd.bench.machine import Machine, measure_machine
from sr_kd.bench.plain import in_plain_layers
from sr_kd.bench.report import SpeedComparison, document, markdown
from sr_kd.bench.timing import WARM_UP, time_in_turn
from sr_kd.bench.train import TrainingBench
from sr_kd.networks.build import build_network

CPU = torch.device("cpu")
MACHINE = Machine("a processor", "a system", {"torch": "2"}, fp32=1e9, bf16=2e9, copy=1e10)


def test_candidates_are_taken_in_turn():
    order: list[str] = []
    seconds = time_in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * (3 + WARM_UP)
    assert all(value > 0 for value in seconds.values())


def test_a_change_of_memory_is_followed_by_a_run_that_is_not_timed():
    order: list[str] = []
    runs = {name: partial(order.append, name) for name in "abc"}
    time_in_turn(runs, 2, usual_memory={"b"})
    turn = ["a", "b", "b", "c", "c"]
    assert order == ["a", *turn, *(turn * (1 + WARM_UP))]


def test_floors_are_the_slower_of_arithmetic_and_copying():
    assert MACHINE.lower_bound(2e9) == 2
    assert MACHINE.lower_bound(1e9, 3e10) == 3
    machine = measure_machine(CPU, repetitions=1)
    assert min(machine.fp32, machine.bf16, machine.copy) > 1e7
    assert machine.versions["torch"]


def test_tables_and_documents():
    comparison = SpeedComparison(
        "Work", {"ours": 0.5, "theirs": 2.0}, 0.25, {"another": "not installed"}, {}, "patch", 10
    )
    table = markdown([comparison], MACHINE, "sr-kd bench work")
    assert "| ours | 500 | 20 | 1.00 | 50 % |  |" in table
    assert "| theirs | 2000 | 5 | 4.00 | 12 % |  |" in table
    assert "| another |  |  |  |  | not installed |" in table
    (written,) = json.loads(json.dumps(document([comparison], MACHINE, "c")))["comparisons"]
    assert written["ratios"] == {"ours": 1.0, "theirs": 4.0}


@pytest.mark.parametrize("phase", ["teacher", "student"])
def test_the_plain_step_trains_as_ours_does(phase):
    """The same losses before and after some steps: the same gradients and the same optimizer."""
    bench = TrainingBench(scale=2, batch=2, patch=12, device=CPU)
    ours, plain = bench.teacher_steps() if phase == "teacher" else bench.student_steps()
    stage = ours.stage
    for iteration in range(4):
        expected = float(plain())
        found = stage.update(iteration, measure=True)["losses/total"] if iteration in (0, 3) else ours()
        if iteration in (0, 3):
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["FSRCNN", "IDN"])
def test_plain_layers_hold_the_same_network(name):
    network = build_network(name, scale=3)
    twin = in_plain_layers(network)
    assert all(type(module).__module__ != "sr_kd.networks.activation" for module in twin.modules())
    assert twin.state_dict().keys() == network.state_dict().keys()
    x = torch.rand(1, 1, 7, 9)
    torch.testing.assert_close(twin(x), network(x), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_imaging_candidates_agree():
    network = build_network("FSRCNN", scale=2, init="bicubic")
    comparison = InferenceBench(network, "FSRCNN x2", 21, 30, CPU).compare(MACHINE, repetitions=1, quiet=True)
    runs, absent = InferenceBench(network, "FSRCNN x2", 21, 30, CPU).candidates()
    assert set(comparison.seconds) == set(runs)
    assert not set(runs) & set(absent)
    reference = runs["plain PyTorch"]()
    for name, run in runs.items():
        assert run().shape == reference.shape
        assert difference(run(), reference) <= (2 if "bf16" in name else 1), name


def test_the_difference_forgives_clamping_alone():
    reference = torch.tensor([-0.1, 0.5, 1.2])
    assert difference(reference.clamp(0, 1), reference) == 0
    assert difference(torch.tensor([0.0, 0.6, 1.0]), reference) == pytest.approx(25.5, rel=1e-4)


def test_evaluation_candidates_agree(shared_images):
    from sr_kd.bench.evaluate import BASICSR, OURS, EvaluationBench
    from sr_kd.data.sets import open_set

    bench = EvaluationBench(open_set([str(shared_images / "benchmark" / "Set5")], scale=2), 2)
    runs, absent = bench.metric_runs()
    resizes, _ = bench.resize_runs()
    ours = np.array(runs[OURS]())
    assert ours[:, 0].mean() == pytest.approx(33.7, abs=0.1)  # bicubic, Set5, x2
    assert set(runs) | set(absent) == {OURS, BASICSR}
    if BASICSR in runs:
        np.testing.assert_allclose(np.array(runs[BASICSR]()), ours, atol=1e-4)
        np.testing.assert_allclose(resizes[BASICSR](), resizes[OURS](), atol=1e-5)


@pytest.fixture
def handler_of_children() -> Iterator[None]:
    """Takes back the handler of SIGCHLD that PyTorch's loaders leave: on the signal stack that OpenVINO sets up and
    frees it would end this process at the next child's end."""
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("handler_of_children")
def test_patch_candidates_have_one_shape():
    from sr_kd.bench.baselines import find_basicsr
    from sr_kd.bench.data import BATCHES, DataBench
    from sr_kd.data.sets import open_set

    bench = DataBench(open_set(["scikit-image:held_out"], scale=2), gt_size=32, batch=3, workers=1)
    basicsr, _ = find_basicsr()
    with bench.folders() as (hr, lr):
        runs = [bench.pool(hr, lr, quiet=True)] + ([bench.loader(basicsr, hr, lr)] if basicsr else [])
        for run in runs:
            batches = run()
            assert len(batches) == BATCHES
            assert {(tuple(lr), tuple(hr)) for lr, hr in batches} == {((3, 3, 16, 16), (3, 3, 32, 32))}


def test_a_step_of_every_arm_of_a_recipe(repository):
    from sr_kd.bench.losses import LossesBench
    from sr_kd.recipes.load import load_recipe

    arms = "arms={PISR: pisr, response: response, baseline_total: baseline_total}"
    recipe = load_recipe(repository / "options" / "train" / "kd" / "compare_x2.yml", [arms])
    bench = LossesBench(recipe, batch=1, patch=8, device=CPU)
    comparison = bench.compare(repetitions=1, quiet=True)
    assert list(comparison.seconds) == ["baseline_total", "PISR", "response"]
    assert comparison.notes["response"] == "L1, Response"
    table = markdown([comparison], MACHINE, "sr-kd bench losses")
    assert "| candidate | ms | steps / s | time / baseline_total | lower bound / time | remarks |" in table
    stage = bench.step("PISR").stage
    assert set(stage.step.losses) == {"L1", "VID"}
    assert stage.teacher is not None
    assert bench.step("baseline_total").stage.teacher is None


def test_a_step_of_an_arm_with_a_partner_trains_both(repository):
    from sr_kd.bench.losses import LossesBench
    from sr_kd.recipes.load import load_recipe
    from sr_kd.training.mutual import MutualStage

    recipe = load_recipe(repository / "options" / "train" / "kd" / "ie_dml_fsrcnn_x2.yml")
    step = LossesBench(recipe, batch=2, patch=8, device=CPU).step("IE-DML")
    step()
    assert isinstance(step.stage, MutualStage)


def test_streaming_and_memory_read_their_own_sets(tmp_path):
    from sr_kd.bench.streaming import StreamingBench
    from sr_kd.data.sets import open_set
    from sr_kd.errors import UsageError
    from sr_kd.images import Image, write_image

    photographs = open_set(["scikit-image:held_out"], scale=2)
    options = {"gt_size": 32, "batch": 2, "workers": 1, "gigabytes": 0.02, "budget": 0.005, "seconds": 0.5}
    comparison = StreamingBench(photographs, **options).compare()
    assert comparison.title.startswith("0.02 GB, 23 images, memory_budget 0.005")
    assert list(comparison.seconds) == ["from memory", "streaming, first half", "streaming, second half"]
    assert all(value > 0 for value in comparison.seconds.values())
    if sys.platform == "linux":
        assert "in 1 process" in comparison.notes["from memory"]
        assert "in 2 process" in comparison.notes["streaming, second half"]
    write_image(tmp_path / "small.png", Image(photographs.read_hr(0)[:100, :100]))
    with pytest.raises(UsageError, match=r"none of the 1 images of .* has 480x480 pixels"):
        StreamingBench(open_set([str(tmp_path)], scale=2), **options).compare()


def test_a_folder_is_computed_and_written_in_every_format(tmp_path, monkeypatch):
    from sr_kd.bench import folder
    from sr_kd.data.sets import open_set
    from sr_kd.images import Image, read_image, write_image
    from sr_kd.imaging.upscaler import Upscaler

    photograph = open_set(["scikit-image:held_out"], scale=2).read_hr(0)
    for name in ("one", "two"):
        write_image(tmp_path / f"{name}.png", Image(photograph[:20, :30]))
    found: list[tuple[str, int, int]] = []

    def watched(upscaler, jobs, **options):
        outcomes = upscale(upscaler, jobs, **options)
        found.extend((job.target.name, *read_image(job.target).pixels.shape[:2]) for job in jobs)
        return outcomes

    upscale = folder.upscale_files
    monkeypatch.setattr(folder, "upscale_files", watched)
    upscaler = Upscaler(build_network("FSRCNN", scale=2), device=CPU)
    comparison = folder.FolderBench(open_set([str(tmp_path)], scale=2), upscaler).compare(MACHINE, 1, quiet=True)
    assert list(comparison.seconds) == ["computing alone", "to png files", "to jpg files"]
    assert set(found) == {(f"{name}.{ext}", 40, 60) for name in ("one", "two") for ext in ("png", "jpg")}
    assert comparison.notes["to png files"].endswith("% of the rate of computing")


@pytest.mark.slow
def test_on_the_command_line(run_cli, repository, tmp_path):
    finished = run_cli("bench", "train", "--batch", 1, "--patch", 8, "--repetitions", 1, "--device", "cpu", "--quiet",
                       "--json", tmp_path / "figures.json")  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "### Student step with VID, FSRCNN x2, batch 1, LR patch 8, fp32" in finished.stdout
    assert len(json.loads((tmp_path / "figures.json").read_text())["comparisons"]) == 2
    options = repository / "options" / "train"
    recipe = ("-opt", options / "pisr" / "fsrcnn_x2_cpu.yml", "--force_yml", "arms={PISR: student}", "baseline=bicubic")
    finished = run_cli("bench", "losses", *recipe, "--batch", 1, "--patch", 8,
                       "--repetitions", 1, "--device", "cpu", "--quiet")  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "| time / PISR |" in finished.stdout
    refused = run_cli("bench", "losses", "-opt", options / "classification" / "at_digits.yml")
    assert refused.returncode == 2
    assert "is for classification; losses are timed on super-resolution" in refused.stderr
    wrong = run_cli("bench", "infer", "--size", "wide")
    assert wrong.returncode == 2
    assert "write width x height" in wrong.stderr
