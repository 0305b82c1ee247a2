"""Run by the distributed tests, once or under torchrun: some float64 steps with trained adapters."""

import gc
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from sr_kd.config.phase import Optimizer, Phase
from sr_kd.data.patches import open_patches
from sr_kd.data.sampler import PatchSampler
from sr_kd.data.sets import open_set
from sr_kd.distributed import joined
from sr_kd.errors import SrKdError
from sr_kd.losses import TapPair, build_loss
from sr_kd.networks import build_network
from sr_kd.tasks.super_resolution.task import SuperResolution
from sr_kd.training.frozen_teacher import FrozenTeacher
from sr_kd.training.loop import TrainingStage
from sr_kd.training.phase_losses import WeightedLoss
from sr_kd.training.student_with_losses import StudentWithLosses


class DoubleTask(SuperResolution):
    """Batches in float64, so that sums in another order agree to many digits."""

    def batch(self, index):
        batch = super().batch(index)
        return replace(batch, lr=batch.lr.double(), hr=batch.hr.double())


def double_task(folder, world, gt_size, stream):
    """This rank's patches of a folder, four at a time over all ranks."""
    images, share = open_set([folder], scale=2), (world.rank, world.size)
    sampler = PatchSampler(images.lr_sizes, gt_size // 2, 4, seed=0, stream=stream, share=share)
    patches = open_patches(images, sampler, color="y", device=world.device, memory_budget_gib=1)
    return DoubleTask(patches, [], 2, ["psnr"], world)


def main() -> None:
    output, folder, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    dying = len(sys.argv) > 4
    if dying:  # torchrun ends the others too, sooner than a slow one may notice
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with joined("cpu") as world:
        torch.manual_seed(0)
        student = build_network("FSRCNN", scale=2, init="bicubic")
        teacher = build_network("PrivilegedTeacher", scale=2, encoder={"type": "Hourglass"}, decoder={"type": "FSRCNN"})
        pair = TapPair("expanding", "expanding", student.taps["expanding"], teacher.taps["expanding"])
        losses = [
            WeightedLoss(build_loss("L1"), 1.0, "L1"),
            WeightedLoss(build_loss("VID", [pair]), 1.0, "VID", gradient_ratio=0.1),
        ]
        task = double_task(folder, world, gt_size=32, stream="student")
        step = StudentWithLosses(student.double(), losses, task).double()
        options = Phase(trains="student", total_iter=steps, optim=Optimizer(type="SGD", lr=1e-2))
        stage = TrainingStage(options, steps, step, FrozenTeacher(teacher.double(), step, task), task, None, world)
        start = student.expanding[0].weight.detach().clone()
        gradients = {}
        for iteration in range(steps):
            if dying and world.rank == 1 and iteration == 3:
                os._exit(3)
            stage.update(iteration, measure=False)
            if iteration == 0:
                gradients = {name: p.grad.clone() for name, p in step.named_parameters() if p.grad is not None}
        if world.leads:
            torch.save({"gradients": gradients, "weights": step.state_dict(), "start": start}, output)


if __name__ == "__main__":
    try:
        main()
        gc.collect()
        print("threads:", *(file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")))
    except SrKdError as error:
        sys.exit(str(error))
