"""A fourth task as a plug-in, all in one file: the brightness of noise, by a network with one feature map."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import nn

from sr_kd.config.schema import TrainingRecipe, ValidationOptions
from sr_kd.config.section import Section
from sr_kd.losses.base import Loss, LossInputs, NetworkOutput
from sr_kd.losses.build import LOSSES
from sr_kd.networks.base import Network, Tap
from sr_kd.networks.build import NETWORKS
from sr_kd.tasks import TASKS
from sr_kd.tasks.base import TaskDefinition


class NoiseSet(Section):
    name: str = "noise"
    images: PositiveInt = 64


class BrightnessValidation(ValidationOptions):
    metrics: list[Literal["error"]] = Field(default=["error"])


class BrightnessRecipe(TrainingRecipe):
    task: Literal["brightness"] = "brightness"
    scale: None = None
    train: NoiseSet
    validation_sets: list[NoiseSet] = Field(default=[])
    val: BrightnessValidation = BrightnessValidation()


class Meter(Network):
    """Images (N, 1, 8, 8) -> brightness (N, 1)."""

    type_name, task = "Meter", "brightness"

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.arguments = {"width": width}
        self.taps = {"hidden": Tap(width, 1)}
        self.hidden, self.out = nn.Conv2d(1, width, 3, padding=1), nn.Linear(width, 1)

    def stages(self):
        return [
            ("hidden", lambda x, _: self.hidden(x)),
            ("output", lambda hidden, _: self.out(hidden.relu().mean((2, 3)))),
        ]


class Brightness(Loss):
    """Squared error of the brightness."""

    terms = ("brightness",)
    tasks = ("brightness",)

    def forward(self, inputs: LossInputs):
        return {"brightness": (inputs.trained_output - inputs.labels).square().mean()}


class BrightnessTask:
    def __init__(self, recipe, stream, seed, world):
        self.recipe, self.stream, self.seed, self.world = recipe, stream, seed, world

    def batch(self, index):
        return noise(f"{self.stream}/{self.seed}/{index}", 16, self.world.device)

    def view(self, network, inputs, taps, output):
        return NetworkOutput(*network.features(inputs.lr, taps, output))

    def seen_by(self, network, image):
        return image

    def tail(self, network, inputs, view):
        return lambda tap, feature: network.tail(tap, feature, inputs.lr)

    @torch.no_grad()
    def validate(self, network, keep=None):
        scores = {}
        for images in self.recipe.validation_sets:
            inputs = noise(images.name, images.images, self.world.device)
            scores[images.name] = {"error": float((network(inputs.lr) - inputs.labels).square().mean())}
        return scores

    def report(self, network):
        return {}

    def close(self):
        pass


def noise(stream, count, device):
    generator = torch.Generator().manual_seed(int.from_bytes(stream.encode()[-7:], "big"))
    light = torch.rand(count, 1, 1, 1, generator=generator)
    images = (light + 0.1 * torch.randn(count, 1, 8, 8, generator=generator)).to(device)
    return LossInputs(images, images, labels=light.flatten(1).to(device))


class BrightnessData:
    problems = ()

    def __init__(self, recipe, look):
        self.recipe = recipe

    def misfits(self, networks):
        for name, network in networks.items():
            if not math.log2(network.arguments["width"]).is_integer():
                yield ("networks", name, "width"), "is no power of two"

    def summary(self):
        return ["train on noise", *(f"validate on {each.images} images" for each in self.recipe.validation_sets)]

    def listing(self):
        return []

    def decode_validation(self, world):
        pass

    def task(self, phase, seed, networks, world, quiet):
        return BrightnessTask(self.recipe, phase, seed, world)


def register() -> None:
    TASKS.register(
        "brightness",
        TaskDefinition("brightness", BrightnessRecipe, BrightnessData, metrics={"error": "Squared error"}),
    )
    NETWORKS.register("Meter", Meter)
    LOSSES.register("Brightness", Brightness)
