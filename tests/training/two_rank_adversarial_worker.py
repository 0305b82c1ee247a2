"""Run by the distributed tests, once or under torchrun: some float64 steps against a discriminator."""

import copy
import sys

import torch
from two_rank_worker import double_task

from sr_kd.config.phase import Optimizer, Phase
from sr_kd.distributed import joined
from sr_kd.losses import build_loss
from sr_kd.networks import build_network
from sr_kd.training.adversarial import AdversarialStage
from sr_kd.training.loop import TrainingStage
from sr_kd.training.phase_losses import WeightedLoss
from sr_kd.training.student_with_losses import StudentWithLosses


def main() -> None:
    output, folder, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with joined("cpu") as world:
        torch.manual_seed(0)
        student = build_network("FSRCNN", scale=2, init="bicubic", d=12, s=8, m=1)
        task = double_task(folder, world, gt_size=24, stream="adversarial")
        deceives = build_loss("Adversarial", width=4, r1=0.1, lr=1e-3)
        losses = [WeightedLoss(build_loss("L1"), 1.0, "L1"), WeightedLoss(deceives, 0.1, "Adversarial")]
        step = StudentWithLosses(student, losses, task).double()
        options = Phase(trains="student", total_iter=steps, optim=Optimizer(type="SGD", lr=1e-2))
        training = TrainingStage(options, steps, step, None, task, None, world)
        stage = AdversarialStage(training, {"Adversarial": deceives})
        start = copy.deepcopy(step.state_dict())
        for iteration in range(steps):
            stage.update(iteration, measure=False)
        if world.leads:
            torch.save({"weights": step.state_dict(), "start": start}, output)


if __name__ == "__main__":
    main()
