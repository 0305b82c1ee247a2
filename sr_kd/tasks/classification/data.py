"""The labeled images of a classification: opened once for the check and all phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...config.origin import Problem
from ...distributed import World
from ...errors import SrKdError
from ...networks.base import Network
from ..base import Networks, TaskData, repeated_names
from .images import LabeledImages, Part, open_labeled
from .options import ClassificationRecipe, LabeledSet
from .task import Classification


class ClassificationData(TaskData):
    """Sets in memory.

    Args:
        recipe: its sets are opened.
        look: whether to open them; if not, only `summary` is of use.
    """

    def __init__(self, recipe: ClassificationRecipe, look: bool) -> None:
        self.recipe = recipe
        self.problems: list[Problem] = []
        written: list[tuple[tuple[str | int, ...], LabeledSet]] = [(("train",), recipe.train)]
        written += [(("validation_sets", index), options) for index, options in enumerate(recipe.validation_sets)]
        self._sets: dict[tuple[str | int, ...], LabeledImages] = {}
        for path, options in written if look else []:
            if recipe.is_damaged(*path):
                continue
            part: Part = "train" if path == ("train",) else "test"
            try:
                self._sets[path] = open_labeled(
                    options.dataroot, part, name=options.name, image_size=options.image_size
                )
            except SrKdError as error:
                self.problems.append((path, f"cannot be used: {error}"))

    @property
    def validation(self) -> list[LabeledImages]:
        """The validation sets."""
        return [images for path, images in self._sets.items() if path != ("train",)]

    def misfits(self, networks: Networks) -> Iterator[Problem]:
        """Sets of other classes or sizes than the training set's, and networks that do not fit it."""
        yield from repeated_names(("validation_sets",), [images.name for images in self.validation])
        train = self._sets.get(("train",))
        if train is None:
            return
        for path, images in self._sets.items():
            if images.images.shape[1:] != train.images.shape[1:] or len(images.classes) != len(train.classes):
                problem = f"has {_description(images)}, the training set {_description(train)}; they must agree"
                yield path, problem
            elif images.classes != train.classes:
                yield path, _other_classes(images.classes, train.classes)
        wanted = (len(train.classes), train.images.shape[3])
        for name, network in networks.items():
            found = getattr(network, "classes", None), getattr(network, "channels", None)
            if found != wanted:
                problem = f"is for {found[0]} classes and {found[1]} channels; the training set has {wanted[0]} and "
                yield ("networks", name), f"{problem}{wanted[1]}"

    def summary(self) -> list[str]:
        train = self.recipe.train
        lines = [f"train on {_counted(train, self._sets.get(('train',)))}, {train.batch_size_per_gpu} at a time"]
        for index, options in enumerate(self.recipe.validation_sets):
            lines.append(f"validate on {_counted(options, self._sets.get(('validation_sets', index)))}")
        return lines

    def listing(self) -> list[str]:
        return self._sets["train",].listing()

    def task(self, phase: str, seed: int, networks: Sequence[Network], world: World, quiet: bool) -> Classification:
        options = self.recipe.train
        return Classification(
            self._sets["train",],
            self.validation,
            batch_size=options.batch_size_per_gpu * world.size,
            shift=options.shift,
            hflip=options.use_hflip,
            seed=seed,
            stream=phase,
            world=world,
        )


def _counted(options: LabeledSet, images: LabeledImages | None) -> str:
    title = options.name or options.dataroot
    return title if images is None else f"{title}: {len(images.labels):,} images of {len(images.classes)} classes"


def _description(images: LabeledImages) -> str:
    height, width, channels = images.images.shape[1:]
    return f"{len(images.classes)} classes of {width}x{height} images with {channels} channels"


def _other_classes(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Names the classes that differ."""
    extra, missing = (sorted(set(one) - set(other)) for one, other in ((found, wanted), (wanted, found)))
    if not extra:
        return f"has the training set's classes in another order: {', '.join(found)}; there {', '.join(wanted)}"
    return f"has the classes {', '.join(extra[:8])}, where the training set has {', '.join(missing[:8])}"
