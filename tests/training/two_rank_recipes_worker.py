"""Run by the distributed tests under torchrun: two steps of every phase of recipes, on random or generated images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from sr_kd.bench.train import OneBatch
from sr_kd.config.schema import TrainingRecipe
from sr_kd.distributed import World, joined
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.graph import teacher_of
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.networks import RecipeNetworks
from sr_kd.tasks.super_resolution.options import SuperResolutionRecipe
from sr_kd.tasks.super_resolution.task import SuperResolution
from sr_kd.training.phase_losses import build_phase_losses
from sr_kd.training.plan import plan_phase

SMALL = {"detection": ["datasets.train.images=8", "datasets.train.batch_size_per_gpu=2"]}


def phases(files: list[str]) -> Iterator[tuple[TrainingRecipe, str]]:
    """Every phase of the recipes but those that differ in schedule alone."""
    seen = set()
    for file in files:
        recipe = load_recipe(file, SMALL.get(Path(file).parent.name, []))
        for name, options in recipe.phases.items():
            source = teacher_of(recipe, name)
            networks = [options.trains, options.partner, None if source is None else source.network]
            written = [recipe.networks[each].model_dump(mode="json") for each in networks if each is not None]
            losses = [loss.model_dump(mode="json") for loss in options.losses]
            key = json.dumps([recipe.task, recipe.scale, written, losses, options.precision], sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield recipe, name


def train(recipe: TrainingRecipe, name: str, world: World) -> None:
    options, source = recipe.phases[name], teacher_of(recipe, name)
    other = options.partner if source is None else source.network
    networks = RecipeNetworks(recipe)
    student = networks.new(options.trains, seed=0)
    teacher = None if other is None else networks.new(other, seed=0)
    if isinstance(recipe, SuperResolutionRecipe):
        rgb = "rgb" in {getattr(network, "color", None) for network in (student, teacher)}
        hr = torch.rand(2, 3 if rgb else 1, 12 * recipe.scale, 12 * recipe.scale)
        task = SuperResolution(
            OneBatch(torch.nn.functional.avg_pool2d(hr, recipe.scale), hr), [], recipe.scale, [], world
        )
    else:
        both = [student] if teacher is None else [student, teacher]
        task = check_recipe(recipe).data.task(name, 0, both, world, True)
    losses = build_phase_losses(recipe, name, 0, student, teacher)
    stage = plan_phase(recipe, name, student, teacher, losses, task, world).stages[-1]()
    for iteration in range(2):
        stage.update(iteration, measure=iteration == 0)
    digest = [float(parameter.detach().double().sum()) for parameter in student.parameters()]
    mine, *others = world.gather(digest)
    if any(other != mine for other in others):
        raise SystemExit(f"{recipe.name}, {name}: the processes have different weights")


def main() -> None:
    torch.manual_seed(0)
    with joined("cpu") as world:
        count = 0
        for recipe, name in phases(sys.argv[1:]):
            try:
                train(recipe, name, world)
            except Exception as error:
                raise SystemExit(f"{recipe.name}, {name}: {type(error).__name__}: {error}") from error
            count += 1
    if world.leads:
        print(f"{count} phases")


if __name__ == "__main__":
    main()
