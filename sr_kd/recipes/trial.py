"""A short version of a recipe, to see that everything runs (``--debug``)."""

from __future__ import annotations

from ..config.phase import LossOptions, Phase
from ..config.schema import TrainingRecipe
from ..losses.build import LOSSES
from ..signature import accepted


def trial(recipe: TrainingRecipe, iterations: int = 8) -> TrainingRecipe:
    """The recipe under the name ``debug_NAME``, as in BasicSR.

    Args:
        iterations: length of every phase and every pre-training; all are logged, and validated twice.
    """
    twice = max(1, iterations // 2)
    return recipe.model_copy(
        update={
            "name": f"debug_{recipe.name}",
            "phases": {name: _short_phase(phase, iterations) for name, phase in recipe.phases.items()},
            "val": recipe.val.model_copy(update={"val_freq": twice}),
            "logger": recipe.logger.model_copy(update={"print_freq": 1, "save_checkpoint_freq": twice}),
        }
    )


def _short_phase(phase: Phase, iterations: int) -> Phase:
    losses = [_short_loss(options, iterations) for options in phase.losses]
    return phase.model_copy(update={"total_iter": iterations, "warmup_iter": 0, "losses": losses})


def _short_loss(options: LossOptions, iterations: int) -> LossOptions:
    known = options.type in LOSSES.names()
    if not known or "pretrain_iter" not in accepted(LOSSES.get(options.type)):
        return options
    return LossOptions.model_validate({**options.model_dump(exclude_unset=True), "pretrain_iter": iterations})
