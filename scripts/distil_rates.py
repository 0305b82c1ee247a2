"""The rates of a distillation beside those of its parts: labeling and upscaling, training on labels and on HR alone.

    python scripts/distil_rates.py -n teacher.pth -i photos/

Both of a pair are measured in turns, so that a busy machine slows both; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

import yaml

import sr_kd
from sr_kd.data.folders import image_files
from sr_kd.images import Image, read_image, write_image
from sr_kd.imaging.folder import upscale_files
from sr_kd.imaging.jobs import Naming, plan_jobs
from sr_kd.imaging.label import make_labels, plan_labels

IMAGES, SIDE, ROUNDS, STEPS, PATCH = 6, 192, 5, 240, 24


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--teacher", required=True)
    parser.add_argument("-i", "--input", required=True, type=Path, help="a folder of photographs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for path in image_files(arguments.input)[:IMAGES]:
            pixels = read_image(path).pixels
            write_image(folder / "images" / f"{path.stem}.png", Image(pixels[:SIDE, :SIDE].copy()))
        upscaler = plan_labels(arguments.teacher, str(folder / "images"), folder / "labels").upscaler

        def upscale() -> float:
            shutil.rmtree(folder / "upscaled", ignore_errors=True)
            jobs = plan_jobs([str(folder / "images")], f"{folder}/upscaled/", Naming(ext="png"))
            began = time.perf_counter()
            upscale_files(upscaler, jobs, quiet=True)
            return (time.perf_counter() - began) / len(jobs)

        def label() -> float:
            shutil.rmtree(folder / "labels", ignore_errors=True)
            labeling = plan_labels(arguments.teacher, str(folder / "images"), folder / "labels")
            began = time.perf_counter()
            outcomes = make_labels(labeling, quiet=True)
            return (time.perf_counter() - began) / len(outcomes)

        upscale()  # the first pass chooses algorithms
        compare("an image upscaled to PNG", upscale, "an image labeled", label)
        hr = {"dataroot_gt": str(folder / "upscaled")}  # the same pixels, as images of their own
        stored = {"dataroot_gt": str(folder / "labels"), "dataroot_lq": str(folder / "images")}
        scale = upscaler.scale
        compare(
            "a training step on HR without a teacher",
            lambda: step_seconds(folder, scale, hr),
            "a training step on labels",
            lambda: step_seconds(folder, scale, stored),
        )


def step_seconds(folder: Path, scale: int, images: dict[str, str]) -> float:
    """Of a small student on these sets."""
    recipe = {
        "name": "rates",
        "scale": scale,
        "datasets": {"train": {**images, "gt_size": PATCH * scale, "batch_size_per_gpu": 16}},
        "networks": {"student": {"type": "FSRCNN", "skip": "bicubic", "init": "bicubic"}},
        "phases": {"student": {"trains": "student", "total_iter": STEPS, "losses": [{"type": "L1"}]}},
        "logger": {"print_freq": STEPS // 6, "save_checkpoint_freq": STEPS, "use_tb_logger": False},
        "path": {"experiments_root": str(folder / "experiments"), "results_root": str(folder / "results")},
    }
    path = folder / "rates.yml"
    path.write_text(yaml.safe_dump(recipe))
    experiment = sr_kd.train(path).experiment
    times = json.loads((experiment / "training_states" / "student" / "step_times.json").read_text())
    shutil.rmtree(folder / "experiments")
    return mean(times[1:])


def compare(name: str, plain: Callable[[], float], other_name: str, other: Callable[[], float]) -> None:
    """Print the medians of both, and the median of their ratios."""
    pairs = [(plain(), other()) for _ in range(ROUNDS)]
    ratios = sorted(first / second for first, second in pairs)
    first, second = (1000 * median(column) for column in zip(*pairs, strict=True))
    print(f"{name}: {first:.4g} ms; {other_name}: {second:.4g} ms; rate {median(ratios):.0%}", end=" ")
    print(f"({ratios[0]:.0%} to {ratios[-1]:.0%})")


if __name__ == "__main__":
    main()
