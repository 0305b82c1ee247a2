"""BasicSR's own option files: `network_g` and `train` become one network and one phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import nearest
from .draft import Draft

NETWORK, PHASE = "network_g", "train"
LOSSES = {"L1Loss": "L1", "MSELoss": "L2", "CharbonnierLoss": "Charbonnier"}
# BasicSR's networks for single images; those of the same name as ours (FSRCNN...) are ours.
NETWORKS = ("EDSR", "ECBSR", "MSRResNet", "RCAN", "RRDBNet", "SRVGGNetCompact", "SwinIR")
METRICS = {"calculate_psnr": "psnr", "calculate_ssim": "ssim", "calculate_niqe": "niqe"}
KEPT = ("total_iter", "warmup_iter", "ema_decay")


def translate_training(draft: Draft) -> None:
    """Bring a BasicSR training file into our layout, in place."""
    if draft.has("phases") or draft.has("networks"):
        problem = "belongs to BasicSR's layout, and 'phases' to ours; a file has one of them"
        draft.problems += [((key,), problem) for key in ("network_g", "train") if draft.take(key) is not None]
        return
    draft.move(("network_g",), ("networks", NETWORK))
    network = draft.section("networks", NETWORK)
    if str(network.get("type")) in NETWORKS:
        network["type"] = f"basicsr.{network['type']}"
    draft.move(("path", "pretrain_network_g"), ("networks", NETWORK, "path"))
    draft.move(("path", "param_key_g"), ("networks", NETWORK, "param_key"))
    draft.move(("path", "strict_load_g"), ("networks", NETWORK, "strict_load"))
    draft.put(("phases", PHASE, "trains"), NETWORK, ("train",))
    draft.moved["phases", PHASE] = ("train",)
    draft.moved["networks",] = draft.moved["networks", NETWORK] = ("network_g",)
    for key in KEPT:
        draft.move(("train", key), ("phases", PHASE, key))
    if draft.section("phases", PHASE).get("warmup_iter") == -1:  # BasicSR's "none"
        draft.take("phases", PHASE, "warmup_iter")
    draft.move(("train", "optim_g"), ("phases", PHASE, "optim"))
    optimizer = draft.section("phases", PHASE, "optim")
    if optimizer.get("type") == "AdamW":
        optimizer.setdefault("weight_decay", 0.01)
    if optimizer.get("type") == "SGD":
        optimizer.setdefault("momentum", 0.0)
    if draft.section("train", "scheduler"):
        _scheduler(draft)
    if draft.section("train", "pixel_opt"):
        _pixel_loss(draft)
    _rest_of_training(draft)


def translate_test(draft: Draft) -> None:
    """Bring a BasicSR test file into our layout, in place: the weights say which network they are."""
    weights = draft.take("path", "pretrain_network_g")
    draft.take("network_g")
    if weights is None:
        draft.problems.append((("path", "pretrain_network_g"), "is missing: it names the weights to test"))
        weights = "missing"
    else:
        draft.notices.append((("network_g",), "was ignored: the weights' file says which network it holds"))
    draft.move(("path", "param_key_g"), ("param_key",))
    draft.put(("models",), {str(draft.data.get("name")): weights}, ("path", "pretrain_network_g"))


def translate_metrics(draft: Draft) -> None:
    """``val.metrics: {label: {type, crop_border, test_y_channel, better}}`` to metric names and a protocol."""
    metrics = draft.section("val").get("metrics")
    if not isinstance(metrics, dict):
        return
    draft.take("val", "metrics")
    names, luma = [], set()
    for label, options in metrics.items():
        written = ("val", "metrics", label)
        options = options if isinstance(options, dict) else {}
        kind = options.get("type")
        if str(kind) not in METRICS:
            draft.problems.append(((*written, "type"), f"is {kind!r}; allowed: {', '.join(METRICS)}"))
            continue
        names.append(METRICS[str(kind)])
        if kind != "calculate_niqe":  # which is of Y in any case
            luma.add(bool(options.get("test_y_channel", False)))
        border, scale = options.get("crop_border"), draft.data.get("scale")
        if border != scale:
            sentence = f"is {border}, but every protocol here crops the scale, {scale}"
            draft.notices.append(((*written, "crop_border"), sentence))
    if len(luma) > 1:
        draft.problems.append((("val", "metrics"), "mixes test_y_channel true and false; use one"))
    draft.put(("val", "metrics"), list(dict.fromkeys(names)), ("val", "metrics"))
    for name, options in draft.section("datasets").items():
        if name != "train" and isinstance(options, dict):
            options.setdefault("protocol", "basicsr" if luma == {True} else "rgb")


def _scheduler(draft: Draft) -> None:
    written = ("train", "scheduler")
    options = draft.take(*written)
    kind = options.pop("type", None)
    if kind == "CosineAnnealingRestartLR":
        translated = {"type": "cosine", **options}
    elif kind in ("MultiStepLR", "MultiStepRestartLR"):
        if options.pop("restarts", [0]) != [0] or options.pop("restart_weights", [1]) != [1]:
            draft.problems.append(((*written, "restarts"), "cannot be honored: there are no restarts here"))
        translated = {"type": "multistep", "gamma": 0.1, **options}
    else:
        translated = {"type": kind, **options}
    draft.put(("phases", PHASE, "scheduler"), translated, written)


def _pixel_loss(draft: Draft) -> None:
    written = ("train", "pixel_opt")
    options = draft.take(*written)
    kind = options.pop("type", None)
    if options.pop("reduction", "mean") != "mean":
        draft.problems.append(((*written, "reduction"), "must be 'mean': losses are means over all elements"))
    if str(kind) not in LOSSES:
        known = ", ".join(LOSSES)
        problem = f"is {kind!r}{nearest(str(kind), LOSSES)}; allowed: {known}"
        draft.problems.append(((*written, "type"), problem))
        return
    loss: dict[str, Any] = {"type": LOSSES[kind], "weight": options.pop("loss_weight", 1.0), **options}
    if kind == "CharbonnierLoss":  # BasicSR's eps stands under the root as it is, ours is squared
        loss["eps"] = _converted(options.get("eps", 1e-12), math.sqrt)
    draft.put(("phases", PHASE, "losses"), [loss], written)
    draft.moved["phases", PHASE, "losses", 0] = written
    draft.moved["phases", PHASE, "losses", 0, "weight"] = (*written, "loss_weight")


def _converted(value: Any, function: Callable[[float], float]) -> Any:
    """The value through a function if it is a positive number; otherwise as it is, for the schema to refuse."""
    return function(value) if isinstance(value, int | float) and value >= 0 else value


def _rest_of_training(draft: Draft) -> None:
    allowed = (*KEPT, "optim_g", "scheduler", "pixel_opt")
    rest = draft.take("train") or {}
    if not isinstance(rest, dict):
        draft.problems.append((("train",), f"must be a mapping; found {rest!r}"))
        rest = {}
    for key, value in rest.items():
        if value is not None or key not in allowed:
            sentence = f"is unknown{nearest(key, allowed)}; allowed: {', '.join(allowed)}"
            draft.problems.append((("train", key), sentence))
