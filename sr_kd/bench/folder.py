"""A folder of images from file to file, beside the computing alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data.image_set import ImageSet
from ..files import temporary_folder
from ..images import Image, read_image, write_image
from ..imaging.folder import upscale_files
from ..imaging.jobs import Naming, plan_jobs
from ..imaging.upscaler import Upscaler
from ..networks.complexity import count_multiply_adds
from .machine import Machine
from .report import SpeedComparison
from .timing import time_in_turn

FORMATS = ("png", "jpg")
COMPUTING = "computing alone"


@dataclass(frozen=True)
class FolderBench:
    """The HR images of a set, as PNG files, upscaled into a folder.

    Attributes:
        images: the images.
        upscaler: of a network.
    """

    images: ImageSet
    upscaler: Upscaler

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> SpeedComparison:
        """Computing the decoded images, and reading, computing and writing them, per format of the results."""
        with temporary_folder() as root:
            source, target = root / "images", root / "upscaled"
            for index, name in enumerate(self.images.names):
                write_image(source / f"{name}.png", Image(self.images.read_hr(index)))
            images = [read_image(path) for path in sorted(source.iterdir())]
            runs: dict[str, Callable[[], object]] = {
                COMPUTING: lambda: [self.upscaler.upscale(image) for image in images]
            }
            runs |= {f"to {ext} files": self._whole(source, target / ext, ext) for ext in FORMATS}
            seconds = time_in_turn(runs, repetitions, device=self.upscaler.device, quiet=quiet)
        network = self.upscaler.network
        operations = sum(
            count_multiply_adds(network, (1, network.channels, image.height, image.width))
            for image in images
            if network is not None
        )
        notes = {
            name: f"{seconds[COMPUTING] / value:.0%} of the rate of computing"
            for name, value in seconds.items()
            if name != COMPUTING
        }
        title = f"Folder, {len(images)} images of {self.images.name}, x{self.upscaler.scale}"
        return SpeedComparison(title, seconds, machine.lower_bound(operations, 0), {}, notes, "image", len(images))

    def _whole(self, source: Path, target: Path, ext: str) -> Callable[[], object]:
        jobs = plan_jobs([str(source)], str(target), Naming(ext=ext))
        return lambda: upscale_files(self.upscaler, jobs, quiet=True)
