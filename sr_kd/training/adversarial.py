"""Adversarial training: after each step of the student its discriminators take one of their own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch

from ..config.phase import Optimizer
from ..errors import SrKdError
from ..losses.adversarial import Adversarial
from .frozen_teacher import autocast
from .loop import TrainingStage
from .optimization import Optimization, Optimizations
from .optimizer import build_optimizer
from .schedule import learning_rate

logger = logging.getLogger("sr_kd")
BETAS = (0.9, 0.99)


class AdversarialStage:
    """Two updates per iteration on the same batch, as in ESRGAN: the student against a fixed discriminator, then the
    discriminator against what the student made before its update.

    Args:
        training: of the student. losses: by name, the phase's adversarial ones.
    """

    name = "adversarial training"

    def __init__(self, training: TrainingStage, losses: Mapping[str, Adversarial]) -> None:
        self.training, self.losses = training, losses
        self.total_iter = training.total_iter
        options, device = training.options, training.world.device
        half, most = options.precision == "fp16", options.max_skipped_steps
        self.discriminators: dict[str, Optimization] = {}
        for name, loss in losses.items():
            groups = [{"params": list(loss.discriminator.parameters())}]
            optimizer = build_optimizer(Optimizer(lr=loss.lr, betas=BETAS), groups)
            self.discriminators[name] = Optimization(optimizer, device, half=half, most=most)
        own = Optimizations(self.discriminators)
        self.optimization = Optimizations({"training": training.optimization, "discriminators": own})
        self._warned: set[str] = set()

    def update(self, iteration: int, measure: bool) -> dict[str, float]:
        for loss in self.losses.values():
            loss.seen = []
        values = self.training.update(iteration, measure)
        for name in self.losses:
            values |= self._judge(name, iteration, measure)
        return values

    def _judge(self, name: str, iteration: int, measure: bool) -> dict[str, float]:
        """One step of a discriminator."""
        loss, optimization = self.losses[name], self.discriminators[name]
        options, world = self.training.options, self.training.world
        rate = learning_rate(options.optim.lr, options.scheduler, iteration, self.total_iter, options.warmup_iter)
        optimization.begin(rate * loss.lr / options.optim.lr)
        loss.discriminator.train().requires_grad_(True)
        found = []
        for real, fake in loss.seen or ():
            with autocast(world.device, options.precision):
                value, accuracy = loss.judge(real, fake)
            optimization.backward(value / len(loss.seen or ()))
            found.append(torch.stack([value.detach(), accuracy]))
        loss.seen = None
        world.mean_gradients(loss.discriminator)
        optimization.step(iteration)
        loss.freeze()
        mean, accuracy = world.mean(torch.stack(found).mean(0))
        loss.remember(accuracy)
        if optimization.is_stuck(measure):
            raise SrKdError(
                f"the gradient of {name}'s discriminator was NaN or Inf {optimization.most} times in a row, last at "
                f"iteration {optimization.last_skipped}: lower its lr, or the learning rate of the phase"
            )
        if not measure:
            return {}
        self._guard(name)
        return {f"discriminator/{name}/loss": float(mean), f"discriminator/{name}/accuracy": float(loss.accuracy)}

    def _guard(self, name: str) -> None:
        """A discriminator that is always right gives the student no direction. Raises SrKdError where this stops it."""
        loss = self.losses[name]
        accuracy = float(loss.accuracy)
        if accuracy <= loss.most_accuracy:
            self._warned.discard(name)
            return
        sentence = (
            f"{name}: the discriminator is right in {accuracy:.1%} of all places, most_accuracy is "
            f"{loss.most_accuracy:g}: the student learns next to nothing from it; lower its lr, set r1, or give the "
            "loss less weight"
        )
        if loss.on_collapse == "stop":
            raise SrKdError(f"{sentence}; the last saved state is good, and --auto_resume goes on from it")
        if name not in self._warned:
            logger.warning("%s", sentence)
        self._warned.add(name)
