"""A folder of pictures from file to file, beside the computing alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..archs.complexity import count_multiply_adds
from ..data.image import Image, read_image, write_image
from ..data.image_set import ImageSet
from ..inference.folder import upscale_files
from ..inference.jobs import Naming, plan_jobs
from ..inference.upscaler import Upscaler
from .machine import Machine
from .report import Comparison
from .timing import time_in_turn

FORMATS = ("png", "jpg")
COMPUTING = "computing alone"


@dataclass(frozen=True)
class FolderBench:
    """The HR images of a set, as PNG files, enlarged into a folder.

    Attributes:
        images: the pictures.
        upscaler: of a network.
    """

    images: ImageSet
    upscaler: Upscaler

    def compare(self, machine: Machine, repetitions: int, quiet: bool) -> Comparison:
        """Computing the decoded pictures, and reading, computing and writing them, per format of the results."""
        with TemporaryDirectory() as root:
            source, target = Path(root) / "pictures", Path(root) / "enlarged"
            for index, name in enumerate(self.images.names):
                write_image(source / f"{name}.png", Image(self.images.read_hr(index)))
            pictures = [read_image(path) for path in sorted(source.iterdir())]
            runs: dict[str, Callable[[], object]] = {
                COMPUTING: lambda: [self.upscaler.upscale(picture) for picture in pictures]
            }
            runs |= {f"to {ext} files": self._whole(source, target / ext, ext) for ext in FORMATS}
            seconds = time_in_turn(runs, repetitions, device=self.upscaler.device, quiet=quiet)
        network = self.upscaler.network
        operations = sum(
            count_multiply_adds(network, (1, network.channels, picture.height, picture.width))
            for picture in pictures
            if network is not None
        )
        notes = {
            name: f"{seconds[COMPUTING] / value:.0%} of the rate of computing"
            for name, value in seconds.items()
            if name != COMPUTING
        }
        title = f"Folder, {len(pictures)} pictures of {self.images.name}, x{self.upscaler.scale}"
        return Comparison(title, seconds, machine.floor(operations, 0), {}, notes, "picture", len(pictures))

    def _whole(self, source: Path, target: Path, ext: str) -> Callable[[], object]:
        jobs = plan_jobs([str(source)], str(target), Naming(ext=ext))
        return lambda: upscale_files(self.upscaler, jobs, quiet=True)
