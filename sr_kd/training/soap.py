"""SOAP (Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, algorithm 3)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..errors import SrKdError

SOAP_BETAS = (0.95, 0.99)
# A side's covariance, its eigenvectors, and the axis of the gradient that they belong to.
_SIDES = (("covariance_left", "basis_left", 0), ("covariance_right", "basis_right", 1))


class SOAP(torch.optim.Optimizer):
    """Adam in the eigenbases of each layer's gradient covariances, which are followed as it trains.

    A weight of any shape is seen as a matrix (outputs x everything else); biases and slopes get plain Adam.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: decay of the first moment, and of the second moments and covariances.
        eps: added to the root of the second moment.
        weight_decay: decoupled, as in AdamW.
        precondition_freq: iterations between two updates of the eigenbases.
        largest: sides longer than this keep their own basis; eigenvectors of them would cost too much.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        betas: tuple[float, float] = SOAP_BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        precondition_freq: int = 10,
        largest: int = 1024,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "precondition_freq": precondition_freq, "largest": largest})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update; a parameter's first gradient only sets its bases."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        gradient = gradient.reshape(gradient.shape[0], -1) if gradient.ndim > 1 else gradient.reshape(-1)
        if not state:
            _begin(state, gradient, group["largest"])
            return
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first, second = state["exp_avg"], state["exp_avg_sq"]
        first.lerp_(gradient, 1 - beta1)
        second.lerp_(_turned(gradient, state).square_(), 1 - beta2)
        direction = _turned_back(_turned(first, state) / (second.sqrt() + group["eps"]), state)
        rate = group["lr"] * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(direction.reshape(parameter.shape), alpha=-rate)
        for covariance, _, axis in _SIDES:
            if covariance in state:
                state[covariance].lerp_(_covariance(gradient, axis), 1 - beta2)
        if state["step"] % group["precondition_freq"] == 0:
            _follow(state)


def _begin(state: dict[str, Any], gradient: Tensor, largest: int) -> None:
    state["step"] = 0
    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    for covariance, basis, axis in _SIDES:
        if gradient.ndim > 1 and 1 < gradient.shape[axis] <= largest:
            state[covariance] = _covariance(gradient, axis)
            # Largest first, as the power iteration keeps them.
            state[basis] = _eigenvectors(state[covariance]).flip(1).contiguous()


def _covariance(gradient: Tensor, axis: int) -> Tensor:
    return gradient @ gradient.T if axis == 0 else gradient.T @ gradient


def _turned(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """A new tensor: the matrix in the eigenbases."""
    matrix = state["basis_left"].T @ matrix if "basis_left" in state else matrix.clone()
    return matrix @ state["basis_right"] if "basis_right" in state else matrix


def _turned_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    matrix = state["basis_left"] @ matrix if "basis_left" in state else matrix
    return matrix @ state["basis_right"].T if "basis_right" in state else matrix


def _follow(state: dict[str, Any]) -> None:
    """One power iteration and a QR decomposition bring each basis nearer to its covariance's eigenvectors."""
    for covariance, basis, axis in _SIDES:
        if covariance in state:
            product = state[covariance] @ state[basis]
            order = (state[basis] * product).sum(0).argsort(descending=True, stable=True)
            state["exp_avg_sq"] = state["exp_avg_sq"].index_select(axis, order)
            state[basis] = _orthogonal(product.index_select(1, order))


def _eigenvectors(covariance: Tensor) -> Tensor:
    """In double precision, because a covariance's small eigenvalues are lost in single; on the CPU, as MPS has neither.

    Raises:
        SrKdError: a gradient that is not finite.
    """
    try:
        return torch.linalg.eigh(covariance.cpu().double()).eigenvectors.to(covariance)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise SrKdError("the first gradient is not finite: lower the weights of the losses") from None


def _orthogonal(basis: Tensor) -> Tensor:
    if basis.device.type == "mps":  # has no QR decomposition
        return torch.linalg.qr(basis.cpu()).Q.to(basis)
    return torch.linalg.qr(basis).Q
