"""Figures of a distillation: feature maps of teacher and student side by side, and what the losses see of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..evaluation.protocols import to_pixels
from ..losses.base import MIDDLE, Loss, LossInputs, Position, TapPair
from ..losses.build import LOSSES
from ..losses.numerics import unit
from ..losses.shapes import match_size, pool_positions
from .distilled import DistilledPhase

# Positions and colors of a ramp that is even in lightness (inferno).
RAMP = ((0, 0.25, 0.5, 0.75, 1), ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)))
CHANNELS = 4
POSITIONS = 576  # of a channel as a point for t-SNE


@dataclass(frozen=True)
class MapPanel:
    """A map as (H, W, 3) uint8, with what stands below it; `place` is marked."""

    caption: str
    pixels: np.ndarray
    place: Position | None = None


@dataclass(frozen=True)
class Figure:
    """Panels that belong side by side; `ends` are the values of the darkest and the brightest color."""

    name: str
    title: str
    text: str
    panels: tuple[MapPanel, ...]
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scatter:
    """Channels as points in [0, 1] x [0, 1] (t-SNE), by whose they are."""

    title: str
    points: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class FeatureFigures:
    """All of a distillation; `notes` say where it comes from, and what is missing."""

    run: str
    title: str
    figures: tuple[Figure, ...]
    scatters: tuple[Scatter, ...]
    notes: tuple[str, ...]


def draw_features(
    run: str, one: DistilledPhase, place: Position = MIDDLE, channels: Sequence[int] = ()
) -> FeatureFigures:
    """Everything that can be shown of a distillation. Arguments and errors as of `make_figures`."""
    scatters = scatter_channels(one)
    notes = [f"Seed {one.seed}, the state after {one.iteration:,} iterations; before: with the phase's first weights."]
    for pair in one.pairs:
        first, last = (float(resemblance(*each).abs().amax(1).mean()) for each in _maps(one, pair))
        notes.append(
            f"{pair.key}: a channel of the teacher correlates with the student's nearest by {first:.2f} before and "
            f"{last:.2f} now, on average."
        )
    if not scatters:
        notes.append("The t-SNE of channels needs scikit-learn: pip install 'sr_kd[features]'")
    figures = tuple(make_figures(one, place, channels))
    return FeatureFigures(run, f"{one.phase} on {one.part.name}", figures, tuple(scatters), tuple(notes))


def make_figures(one: DistilledPhase, place: Position = MIDDLE, channels: Sequence[int] = ()) -> Iterator[Figure]:
    """The image, and for every pair of taps: principal components, channels, and what losses see.

    Args:
        place: of the position that NST and the affinity compare with all others.
        channels: of the teacher; by default those that vary most.

    Raises:
        UsageError: a channel that the teacher does not have.
    """
    yield _of_image(one, place)
    for pair in one.pairs:
        named = f"{pair.student}" if pair.student == pair.teacher else f"{pair.student} from {pair.teacher}"
        (teacher, before), (_, after) = _maps(one, pair)
        yield _components(pair, named, teacher, {"student before": before, "student": after})
        yield from _channels(pair, named, teacher, after, channels)
        for kind in map(LOSSES.get, LOSSES.names()):
            if kind.shows_any_taps:
                yield from _seen(one, kind((pair,)), named, place)
    for name, loss in one.losses.items():
        for maps in () if loss.shows_any_taps else loss.maps(one.inputs, place):
            captions = {caption: each[0] for caption, each in maps.maps.items()}
            text = maps.text + _correlation(list(captions.values()))
            yield _in_one_scale(f"{name}_{maps.pair.key}", f"{name}: {maps.title}", text, captions)


def scatter_channels(one: DistilledPhase) -> list[Scatter]:
    """The channels of the first pair of taps as points, before and after: near ones select the same positions (NST,
    figure 5). All are laid out together, each channel's map scaled to length 1. Empty without scikit-learn."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return []
    pair = one.pairs[0]
    (teacher, before), (_, after) = _maps(one, pair)
    maps = [
        unit(pool_positions(each[None], POSITIONS)[0].flatten(1)).cpu().numpy() for each in (teacher, before, after)
    ]
    together = np.concatenate(maps)
    if len(together) < 4:
        return []
    layout = TSNE(perplexity=min(30, (len(together) - 1) / 3), init="random", random_state=0).fit_transform(together)
    layout = (layout - layout.min(0)) / np.maximum(np.ptp(layout, axis=0), 1e-12)
    ends = np.cumsum([len(each) for each in maps])
    of_teacher, first, last = ([(float(x), float(y)) for x, y in part] for part in np.split(layout, ends[:-1]))
    return [
        Scatter("before", {"teacher": of_teacher, "student": first}),
        Scatter("after", {"teacher": of_teacher, "student": last}),
    ]


def colored(values: Tensor, low: float, high: float) -> np.ndarray:
    """(H, W) -> (H, W, 3) uint8: dark is `low`, bright `high`.

    >>> colored(torch.tensor([[0.0, 1.0]]), 0, 1).tolist()
    [[[0, 0, 4], [252, 255, 164]]]
    """
    shares = ((values.cpu().double().numpy() - low) / max(high - low, 1e-30)).clip(0, 1)
    colors = np.array(RAMP[1]).T
    return np.stack([np.interp(shares, RAMP[0], part) for part in colors], axis=-1).round().astype(np.uint8)


def principal_components(feature: Tensor) -> Tensor:
    """The first three, each of mean 0 and variance 1 over the positions: (C, H, W) -> (H * W, 3); zeros beyond C.

    >>> principal_components(torch.eye(4).view(1, 4, 4)).square().mean(0).round()
    tensor([1., 0., 0.])
    """
    flat = feature.flatten(1).T.double()
    flat = flat - flat.mean(0)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    kept = [index for index in range(len(values) - 1, max(-1, len(values) - 4), -1) if values[index] > 1e-20]
    result = flat.new_zeros(len(flat), 3)
    result[:, : len(kept)] = flat @ vectors[:, kept] / values[kept].sqrt()
    return result.float()


def rotated(components: Tensor, onto: Tensor) -> Tensor:
    """Components (n, 3), rotated or mirrored so that they are as near to others as they can be (Procrustes)."""
    left, _, right = torch.linalg.svd(components.T @ onto)
    return components @ (left @ right)


def resemblance(teacher: Tensor, student: Tensor) -> Tensor:
    """Correlations of channels over the positions: (C, H, W) and (D, H, W) -> (C, D)."""
    flat = [each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (teacher, student)]
    return unit(flat[0], eps=1e-20) @ unit(flat[1], eps=1e-20).T


def _maps(one: DistilledPhase, pair: TapPair) -> list[tuple[Tensor, Tensor]]:
    """The teacher's map with the student's of one size, (C, H, W): before and now."""
    teacher, maps = one.inputs.required_teacher.features[pair.teacher], []
    for output in (one.before, one.inputs.trained):
        student, large = match_size(output.features[pair.student], teacher)
        maps.append((large[0], student[0]))
    return maps


def _of_image(one: DistilledPhase, place: Position) -> Figure:
    outputs = {"teacher's output": one.inputs.required_teacher.output, "student's output": one.inputs.trained.output}
    compact = one.inputs.required_teacher.features.get("compact")
    if compact is not None and compact.shape[1] in (1, 3):
        outputs = {"teacher's compact feature": compact, **outputs}
    panels = [MapPanel("HR", one.part.pixels, place)]
    panels += [MapPanel(name, to_pixels(255 * each[0])) for name, each in outputs.items() if each is not None]
    shown = [replace(each, pixels=each.pixels.repeat(4 - each.pixels.shape[2], 2)[..., :3]) for each in panels]
    return Figure("image", f"{one.part.name}, its middle", "The marked position is that of the maps below.", (*shown,))


def _components(pair: TapPair, named: str, teacher: Tensor, students: Mapping[str, Tensor]) -> Figure:
    size = teacher.shape[1:]
    reference = principal_components(teacher)
    found = {"teacher": reference}
    found |= {name: rotated(principal_components(each), reference) for name, each in students.items()}
    panels = [MapPanel(name, to_pixels(255 * (0.5 + each / 5).T.reshape(3, *size))) for name, each in found.items()]
    text = (
        "The first three as red, green and blue; the student's are rotated to be as near to the teacher's as they can."
    )
    return Figure(f"components_{pair.key}", f"{named}: principal components", text, (*panels,))


def _channels(pair: TapPair, named: str, teacher: Tensor, student: Tensor, chosen: Sequence[int]) -> Iterator[Figure]:
    if wrong := [each for each in chosen if not 0 <= each < len(teacher)]:
        raise UsageError(f"the teacher's tap {pair.teacher} has no channel {wrong[0]}: it has 0 to {len(teacher) - 1}")
    correlation = resemblance(teacher, student)
    for index in chosen or teacher.flatten(1).var(1).topk(min(CHANNELS, len(teacher))).indices.tolist():
        nearest = int(correlation[index].abs().argmax())
        r = float(correlation[index, nearest])
        ours = student[nearest] if r >= 0 else -student[nearest]
        sign = "" if r >= 0 else "minus "
        yield _in_one_scale(
            f"channel_{pair.key}_{index}",
            f"{named}: channel {index} of the teacher",
            f"Beside it, the student's channel that resembles it most (correlation {abs(r):.2f}).",
            {f"teacher, channel {index}": teacher[index], f"student, {sign}channel {nearest}": ours},
        )


def _seen(one: DistilledPhase, loss: Loss, named: str, place: Position) -> Iterator[Figure]:
    """Of teacher and student, and of the student before."""
    first: LossInputs = replace(one.inputs, trained=one.before)
    for maps, earlier in zip(loss.maps(one.inputs, place), loss.maps(first, place), strict=True):
        captions = {
            "teacher": maps.maps["teacher"][0],
            "student before": earlier.maps["student"][0],
            "student": maps.maps["student"][0],
            "error": maps.maps["error"][0],
        }
        name = f"{type(loss).__name__.lower()}_{maps.pair.key}"
        yield _in_one_scale(name, f"{named}: {maps.title}", maps.text, captions, place if maps.marked else None)


def _correlation(maps: Sequence[Tensor]) -> str:
    """Of two maps over their positions, as a sentence; nothing where one is the same everywhere."""
    r = float(torch.corrcoef(torch.stack([each.flatten() for each in maps]))[0, 1]) if len(maps) == 2 else math.nan
    return "" if math.isnan(r) else f" Their correlation over the positions is {r:.2f}."


def _in_one_scale(
    name: str, title: str, text: str, maps: Mapping[str, Tensor], place: Position | None = None
) -> Figure:
    """Colors from the 1st to the 99th hundredth of all values together."""
    values = torch.cat([each.flatten() for each in maps.values()]).double()
    low, high = (float(each) for each in torch.quantile(values, values.new_tensor([0.01, 0.99])))
    panels = tuple(MapPanel(caption, colored(each, low, high), place) for caption, each in maps.items())
    return Figure(name, title, text, panels, (low, high))
