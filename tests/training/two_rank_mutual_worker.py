"""Run by the distributed tests, once or under torchrun: some float64 steps of mutual training."""

import copy
import sys

import torch
from two_rank_worker import double_task

from sr_kd.config.phase import Optimizer, Phase
from sr_kd.distributed import joined
from sr_kd.losses import TapPair, build_loss
from sr_kd.networks import build_network
from sr_kd.training.mutual import MutualStage, MutualStudents
from sr_kd.training.phase_losses import WeightedLoss
from sr_kd.training.student_with_losses import StudentWithLosses


def main() -> None:
    output, folder, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with joined("cpu") as world:
        torch.manual_seed(0)
        first, partner = (build_network("FSRCNN", scale=2, init="bicubic", d=d, s=8, m=1) for d in (12, 16))
        task = double_task(folder, world, gt_size=24, stream="mutual")

        def taught(network, teacher):
            pair = TapPair("expanding", "expanding", network.taps["expanding"], teacher.taps["expanding"])
            inherits = build_loss("IEKD", [pair], use_bn=False, divide="random")
            losses = [WeightedLoss(build_loss("L1"), 1.0, "L1"), WeightedLoss(inherits, 0.1, "IEKD")]
            return StudentWithLosses(network, losses, task).double()

        step = MutualStudents(taught(first, partner), taught(partner, first))
        options = Phase(trains="first", partner="partner", total_iter=steps, optim=Optimizer(type="SGD", lr=1e-2))
        stage = MutualStage(options, steps, step, task, world)
        start = copy.deepcopy(step.state_dict())
        for iteration in range(steps):
            stage.update(iteration, measure=False)
        if world.leads:
            torch.save({"weights": step.state_dict(), "start": start}, output)


if __name__ == "__main__":
    main()
