"""The images of a super-resolution: opened once for the check, all phases and the report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch

from ...config.origin import KeyPath, Problem
from ...data.degraded import DegradedPatches
from ...data.patches import PatchSource, check_patch_size, decode, open_patches
from ...data.pool import DecodedImages
from ...data.sampler import PatchSampler
from ...data.sets import ImageSet, open_set
from ...distributed import World
from ...errors import SrKdError, UsageError
from ...evaluation.benchmark import check_size
from ...evaluation.metrics import METRICS
from ...imaging.upscaler import Upscaler
from ...networks.base import Color, Network
from ...training.phase_losses import needs_teacher
from ..base import Networks, TaskData, repeated_names
from .options import EvaluationSet, ImageSetOptions, SuperResolutionRecipe
from .task import SuperResolution


class EvaluationSets:
    """Validation or test sets.

    Args:
        options: of the sets.
        key: where they stand in the recipe.
        metrics: that every image must be large enough for.
        look: whether to open them (headers alone are read).

    Attributes:
        problems: why some could not be opened. sets: index -> the others.
    """

    def __init__(
        self, options: Sequence[EvaluationSet], scale: int, key: str, metrics: Sequence[str], look: bool = True
    ) -> None:
        self.options, self.key = options, key
        self.problems: list[Problem] = []
        self.sets: dict[int, ImageSet] = {}
        for index, one in enumerate(options if look else []):
            opened = _tried((key, index), lambda one=one: _open_measurable(one, scale, metrics), self.problems)  # type: ignore[misc]
            self.sets |= {} if opened is None else {index: opened}

    def misfits(self) -> Iterator[Problem]:
        """Sets of one name."""
        return repeated_names((self.key,), [images.name for images in self.sets.values()])

    def decode(self, world: World) -> None:
        """Decode this rank's share of the images once. Raises SrKdError for one that cannot be read."""
        for images in self.sets.values():
            for index in range(world.rank, len(images), world.size):
                images.decode(index)

    def with_protocols(self) -> list[tuple[ImageSet, str]]:
        """(set, protocol) in order."""
        return [(images, self.options[index].protocol) for index, images in self.sets.items()]

    def summary(self, verb: str) -> list[str]:
        """A line for every set."""
        return [
            f"{verb} {_counted(one, self.sets.get(index))}, {one.protocol}" for index, one in enumerate(self.options)
        ]


class SuperResolutionData(TaskData):
    """Patches for training, whole images for validation; with an "rgb" network among a phase's, batches are RGB.

    Args:
        recipe: its sets are opened.
        look: whether to open them; if not, only `summary` is of use.
    """

    def __init__(self, recipe: SuperResolutionRecipe, look: bool) -> None:
        self.recipe = recipe
        self.problems: list[Problem] = []
        look_for_training = look and not recipe.is_damaged("train")
        self._train = _tried(("train",), self._open_training, self.problems) if look_for_training else None
        self.validation = EvaluationSets(
            recipe.validation_sets, recipe.scale, "validation_sets", recipe.val.metrics, look
        )
        self.problems += self.validation.problems
        self._by_teacher: dict[str, DecodedImages] = {}

    def misfits(self, networks: Networks) -> Iterator[Problem]:
        return self.validation.misfits()

    def summary(self) -> list[str]:
        train = self.recipe.train
        patches = f"{train.batch_size_per_gpu} HR patches of {train.gt_size} pixels"
        patches += "" if train.degradation is None else ", degraded"
        patches += f", {train.fixed_batches:,} batches of them" if train.fixed_batches else ""
        return [f"train on {_counted(train, self._train)}: {patches}", *self.validation.summary("validate on")]

    def listing(self) -> list[str]:
        return self.train.listing()

    def decode_validation(self, world: World) -> None:
        self.validation.decode(world)

    @property
    def train(self) -> ImageSet:
        """The training images."""
        if self._train is None:
            raise ValueError("the training set was not opened")
        return self._train

    def task(self, phase: str, seed: int, networks: Sequence[Network], world: World, quiet: bool) -> SuperResolution:
        options, described = self.recipe.train, self.recipe.phases[phase]
        looking = networks if any(map(needs_teacher, described.losses)) else networks[:1]
        color: Color = "rgb" if any(network.color == "rgb" for network in looking) else "y"
        batch_size, degraded = options.batch_size_per_gpu * world.size, options.degradation is not None
        home = torch.device("cpu") if degraded else world.device
        if not self._decoded:
            self._decoded.append(decode(self.train, home, options.memory_budget, quiet))
        decoded = self._decoded[0]
        if described.targets == "teacher" and len(networks) > 1:
            decoded = self._upscaled(decoded, phase, networks[1], world, quiet)
        sampler = PatchSampler(
            self.train.lr_sizes,
            check_patch_size(self.train, options.gt_size),
            batch_size,
            hflip=options.use_hflip,
            rotate=options.use_rot,
            seed=seed,
            stream=phase,
            share=(world.rank, world.size),
            fixed=options.fixed_batches,
        )
        patches: PatchSource = open_patches(
            self.train,
            sampler,
            color="rgb" if degraded else color,
            device=home,
            memory_budget_gib=options.memory_budget,
            workers=options.num_worker_per_gpu,
            quiet=quiet,
            decoded=decoded,
        )
        if options.degradation is not None:
            patches = DegradedPatches(
                patches,
                options.degradation,
                scale=self.recipe.scale,
                color=color,
                first=batch_size * world.rank // world.size,
                sampler=sampler,
                device=world.device,
            )
        task = SuperResolution(
            patches, self.validation.with_protocols(), self.recipe.scale, self.recipe.val.metrics, world
        )
        task.recurs = options.fixed_batches
        return task

    def _upscaled(
        self, decoded: DecodedImages | None, phase: str, teacher: Network, world: World, quiet: bool
    ) -> DecodedImages:
        """The training images with the teacher's in place of HR, kept for the next phases and seeds that it teaches."""
        if decoded is None:
            raise UsageError(
                f"phases.{phase}.targets is 'teacher', but the training images do not fit into memory_budget, "
                f"{self.recipe.train.memory_budget:g} GiB: raise it, or store the teacher's images with sr-kd label"
            )
        digest = _weights_digest(teacher)
        if digest not in self._by_teacher:
            upscaler = Upscaler(teacher, scale=self.recipe.scale, device=world.device)  # type: ignore[arg-type]
            made = decoded.upscaled(upscaler.upscale, f"{phase}: the teacher's images", quiet)
            self._by_teacher = {digest: made}
        return self._by_teacher[digest]

    @cached_property
    def _decoded(self) -> list[DecodedImages | None]:
        """What the first phase has decoded for all of them."""
        return []

    def _open_training(self) -> ImageSet:
        images = open_images(self.recipe.train, self.recipe.scale)
        if self.recipe.train.gt_size % self.recipe.scale == 0:
            check_patch_size(images, self.recipe.train.gt_size)
        return images


def _weights_digest(network: Network) -> str:
    """SHA-256 of a network's class and weights."""
    digest = hashlib.sha256(type(network).__name__.encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def open_images(options: ImageSetOptions, scale: int) -> ImageSet:
    """A set of images. Raises UsageError and SrKdError, as `data.sets.open_set`."""
    return open_set(
        options.dataroot_gt,
        scale=scale,
        dataroot_lq=options.dataroot_lq,
        filename_tmpl=options.filename_tmpl,
        meta_info_file=options.meta_info_file,
        lmdb=options.io_backend.type == "lmdb",
        name=options.name,
    )


def _open_measurable(options: ImageSetOptions, scale: int, metrics: Sequence[str]) -> ImageSet:
    images = open_images(options, scale)
    known = [metric for metric in metrics if metric in METRICS.names()]
    for name, header in zip(images.names, images.headers, strict=True) if known else ():
        check_size(name, header.height // scale * scale, header.width // scale * scale, scale, known)
    return images


def _tried(path: KeyPath, function: Callable[[], ImageSet], problems: list[Problem]) -> ImageSet | None:
    try:
        return function()
    except SrKdError as error:
        problems.append((path, f"cannot be used: {error}"))
        return None


def _counted(options: ImageSetOptions, images: ImageSet | None) -> str:
    title = options.name or " + ".join(options.dataroot_gt or options.dataroot_lq or [])
    if images is None:
        return title
    lr = " of LR alone" if options.dataroot_gt is None else " with LR files" if images.lr is not None else ""
    return f"{title} ({len(images):,} images{lr})"
