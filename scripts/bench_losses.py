"""What a distillation loss costs: whole training steps, side by side, relative to the plain feature L1.

    python scripts/bench_losses.py --side 96 --batch 16 --repeats 5

Every loss trains an FSRCNN x2 with PISR's privileged teacher through the trainer's own stage (teacher's forward pass,
student's forward and backward pass, the loss with its adapters, Adam). The losses take turns within each round, so
that a change in the machine's load falls on all of them; the medians over the rounds are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sr_kd.archs import build_network
from sr_kd.config.build import build_losses
from sr_kd.config.loader import load_recipe
from sr_kd.config.schema import LossOptions, Recipe
from sr_kd.device import pick_device
from sr_kd.training.distributed import World
from sr_kd.training.stages import DistillationStage, Teaching
from sr_kd.training.step import DistillationStep
from sr_kd.training.super_resolution import SuperResolution

COMPARISON = Path(__file__).parent.parent / "options" / "train" / "kd" / "compare_x2.yml"
LIMITS = {"pisr": 1.6, "vid_original": 1.6, "ft": 2.0, "ie_kd": 2.0}
UNLIMITED = ("warm_start", "upcycling", "response_nst")  # no loss; extra forward passes; two losses


@dataclass(frozen=True)
class OneBatch:
    """A patch source that gives the same batch at every iteration."""

    lr: Tensor
    hr: Tensor

    def batch(self, iteration: int, rank: int = 0, world_size: int = 1) -> tuple[Tensor, Tensor]:
        """The batch."""
        return self.lr, self.hr


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Cost of every distillation loss per training step.")
    parser.add_argument("--side", type=int, default=96, help="side of the LR patches, and of the maps (96)")
    parser.add_argument("--batch", type=int, default=16, help="patches per step (16)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, after one that is not counted (5)")
    parser.add_argument("--steps", type=int, default=1, help="steps per loss and round (1)")
    parser.add_argument("--arms", nargs="+", help="only these arms of the comparison, and 'feature' (all)")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    recipe = load_recipe(COMPARISON)
    wanted = {"feature", *(arguments.arms or recipe.phases)} - {"teacher", "baseline_total"}
    phases = [name for name in recipe.phases if name in wanted]
    stages = {name: open_stage(recipe, name, arguments.batch, arguments.side, device) for name in phases}
    times = measure(stages, arguments.repeats, arguments.steps, device)
    print(f"{arguments.batch} x {arguments.side} x {arguments.side}, {device}, {torch.get_num_threads()} threads")
    print("| arm | losses | ms per step | relative | limit |\n|---|---|---|---|---|")
    for name, values in times.items():
        losses = ", ".join(describe(options) for options in recipe.phases[name].losses)
        limit = "" if name in UNLIMITED else f"{LIMITS.get(name, 1.3)}"
        relative = values / times["feature"]
        print(f"| {name} | {losses} | {1000 * values:.0f} | {relative:.2f} | {limit} |")


def open_stage(recipe: Recipe, name: str, batch: int, side: int, device: torch.device) -> DistillationStage:
    """The training stage of one arm, with weights as a run begins with."""
    torch.manual_seed(0)
    phase = recipe.phases[name]
    student = build_network(scale=recipe.scale, **recipe.networks["student"].arguments, type="FSRCNN")
    teacher = build_network(scale=recipe.scale, **recipe.networks["teacher"].arguments, type="PrivilegedTeacher")
    student, teacher = (network.to(device=device, memory_format=torch.channels_last) for network in (student, teacher))
    images = OneBatch(
        torch.rand(batch, 1, side, side, device=device),
        torch.rand(batch, 1, side * recipe.scale, side * recipe.scale, device=device),
    )
    world = World(0, 1, device)
    task = SuperResolution(images, (), recipe.scale, ("psnr",), world)
    step = DistillationStep(student, build_losses(recipe, name, student, teacher), task)
    step.to(device=device, memory_format=torch.channels_last)
    teaching = Teaching(teacher.deploy(), step, task) if step.needs_teacher else None
    return DistillationStage(phase, recipe.length(name), step, teaching, task, None, world)


def measure(stages: dict[str, DistillationStage], repeats: int, steps: int, device: torch.device) -> dict[str, float]:
    """Seconds per step, the median over the rounds."""
    rounds: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(repeats + 1):
        for name, stage in stages.items():
            start = time.perf_counter()
            for step in range(steps):
                stage.update(turn * steps + step, measure=False)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            rounds[name].append((time.perf_counter() - start) / steps)
    return {name: statistics.median(values[1:]) for name, values in rounds.items()}


def describe(options: LossOptions) -> str:
    """A loss as it is written in an option file, without its taps."""
    return " ".join([options.type, *(f"{name}={value}" for name, value in options.options.items())])


if __name__ == "__main__":
    main()
