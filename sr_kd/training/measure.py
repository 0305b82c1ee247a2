"""Looking into one iteration's terms: their values and gradients, for the log and for the weights that follow them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..distributed import World
from ..errors import SrKdError
from ..losses.diagnosis import gradient_norm
from .student_with_losses import StudentWithLosses

Scale = Callable[[Tensor], Tensor]


def measured(
    step: StudentWithLosses, terms: Mapping[str, Tensor], weighted: Mapping[str, Tensor], scale: Scale
) -> dict[str, float]:
    """Everything that is logged of one batch; the graph is kept.

    Args:
        scale: as large as the gradient scaler makes a loss: without it, half precision would lose the small
            gradients here alone.
    """
    values = {"losses/total": float(torch.stack([value.detach() for value in weighted.values()]).sum())}
    values |= {f"losses/{key}": float(value.detach()) for key, value in terms.items()}
    values |= {f"weighted/{key}": float(value.detach()) for key, value in weighted.items()}
    if len(weighted) > 1:
        norms = gradient_norms(_trained(step.student), {key: scale(value) for key, value in weighted.items()})
        first = next(iter(norms.values()), 0.0) or 1.0
        values |= {f"gradient_ratio/{key}": norm / first for key, norm in norms.items()}
    followed = step.gradient_ratios.targets if step.gradient_ratios is not None else ()
    values |= {f"weight/{key}": float(step.weight(key)) for key in followed}
    return values | {f"diagnostics/{key}": float(value) for key, value in step.diagnostics().items()}


def follow_gradient_ratios(step: StudentWithLosses, terms: Mapping[str, Tensor], scale: Scale, world: World) -> None:
    """Let the weights that a `gradient_ratio` chooses follow the gradients, means over all processes; keeps the graph.

    Raises:
        SrKdError: the first loss has no gradient.
    """
    ratios = step.gradient_ratios
    if ratios is None:
        return
    parameters = _trained(step.student)

    def norm(value: Tensor) -> float:
        return float(torch.linalg.vector_norm(world.mean(_flat_gradient(parameters, scale(value)))))

    weighted = step.weighted(terms)
    goal = next(iter(terms)).partition("/")[0]
    norms = [norm(torch.stack([value for key, value in weighted.items() if key.partition("/")[0] == goal]).sum())]
    if norms[0] == 0:
        raise SrKdError(f"loss {goal} has no gradient at the student, so no gradient_ratio can be kept")
    for key in ratios.targets:
        # At its present size: half precision may not hold it at weight 1.
        size = float(ratios.weight(key)) or 1.0
        norms.append(norm(size * terms[key]) / size if key in terms else 0.0)
    ratios.follow(torch.tensor(norms, dtype=torch.float64))


def not_finite(step: StudentWithLosses, weighted: Mapping[str, Tensor]) -> list[str]:
    """The terms that are NaN or Inf, or whose gradients are, in words."""
    norms = gradient_norms(_trained(step), weighted)
    found = []
    for key, value in weighted.items():
        size, norm = float(value.detach()), norms.get(key, 0.0)
        if not (torch.tensor([size, norm]).isfinite().all()):
            found.append(f"{key} = {size:g} with a gradient of norm {norm:g}")
    return found


def gradient_norms(parameters: Sequence[nn.Parameter], weighted: Mapping[str, Tensor]) -> dict[str, float]:
    """Norm of each term's gradient at the parameters, on this process' own batch; the graph is kept."""
    return {key: gradient_norm(value, parameters) for key, value in weighted.items() if value.requires_grad}


def _flat_gradient(parameters: Sequence[nn.Parameter], value: Tensor) -> Tensor:
    """A term's gradient at all parameters, one after the other; the graph is kept."""
    if not value.requires_grad:
        return torch.zeros(sum(parameter.numel() for parameter in parameters), device=value.device)
    gradients = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
