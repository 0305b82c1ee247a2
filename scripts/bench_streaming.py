"""Measures streaming of a set larger than memory_budget, beside the in-memory pool.

Makes 480x480 sub-images of real photographs in all eight orientations, links each under many names until
the set has the wanted number of decoded gigabytes, streams patches from it for a while, and removes it.
Every name is an image of its own to the program, decoded on its own; only the files come from few disk
blocks. Memory is the proportional set size (PSS) of the process and its workers, as Linux counts it.

    python scripts/bench_streaming.py --gigabytes 20 --seconds 90 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sr_kd.data.image_set import ImageSet
from sr_kd.data.patches import PatchSource, decoded_bytes, open_patches
from sr_kd.data.prepare import encode_png, tile_starts
from sr_kd.data.sets import open_set

SIDE, STEP, SCALE = 480, 240, 2
GB, GIB = 1e9, 2**30
INTERVAL = 10.0  # seconds between lines of the table


def main() -> None:
    """Parse, make the set, measure, remove it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", default=["scikit-image:train"], help="photographs to cut up")
    parser.add_argument("--gigabytes", type=float, default=20.0, help="decoded size of the set, HR and LR")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=2.0, help="memory_budget in GiB")
    parser.add_argument("--gt-size", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = make_tiles(args.images, root / "files")
        link_names(files, root / "large", args.gigabytes)
        link_names(files, root / "small", min(args.gigabytes, args.budget * GIB / GB))
        for name in ("large", "small"):
            images = open_set(str(root / name), scale=SCALE)
            print(f"{name}: {len(images)} images, {decoded_bytes(images) / GB:.1f} GB decoded, {len(files)} files")
            source = open_source(images, args)
            measure(source, args.seconds if name == "large" else 10.0, args.batch_size)
            source.close()


def make_tiles(roots: list[str], folder: Path) -> list[Path]:
    """Sub-images of the photographs, eight orientations each."""
    folder.mkdir()
    images = open_set(roots, scale=SCALE)
    files = []
    for index in range(len(images)):
        pixels = images.read_hr(index)
        if min(pixels.shape[:2]) < SIDE:
            continue
        for top in tile_starts(pixels.shape[0], SIDE, STEP):
            for left in tile_starts(pixels.shape[1], SIDE, STEP):
                tile = pixels[top : top + SIDE, left : left + SIDE].repeat(3 // pixels.shape[2], axis=2)
                for turn in range(8):
                    turned = np.rot90(tile if turn < 4 else tile[:, ::-1], turn)
                    files.append(folder / f"{len(files):05d}.png")
                    files[-1].write_bytes(encode_png(turned))
    return files


def link_names(files: list[Path], folder: Path, gigabytes: float) -> None:
    """A folder of links to the files, as many as make that size decoded."""
    folder.mkdir()
    for number in range(int(gigabytes * GB / (SIDE**2 * 3 * (1 + 1 / SCALE**2)))):
        (folder / f"{number:06d}.png").symlink_to(files[number % len(files)])


def open_source(images: ImageSet, args: argparse.Namespace) -> PatchSource:
    """The patches as the trainer opens them."""
    return open_patches(
        images,
        colour="y",
        gt_size=args.gt_size,
        batch_size=args.batch_size,
        use_hflip=True,
        use_rot=True,
        seed=0,
        stream="bench",
        device=torch.device("cpu"),
        memory_budget_gib=args.budget,
        workers=args.workers,
        quiet=True,
    )


def measure(source: PatchSource, seconds: float, batch_size: int) -> None:
    """Take batches as fast as they come; print the rate and the memory at intervals."""
    source.batch(0)
    print(f"  {type(source).__name__}\n  seconds  batches/s  patches/s  memory MiB (main + workers)")
    started = reported = time.perf_counter()
    iteration = counted = 0
    while reported - started < seconds:
        iteration += 1
        source.batch(iteration)
        now = time.perf_counter()
        if now - reported >= min(INTERVAL, seconds):
            rate = (iteration - counted) / (now - reported)
            processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            memory = [proportional_set_size(process) for process in processes]
            print(
                f"  {now - started:7.0f}  {rate:9.1f}  {rate * batch_size:9.0f}  "
                f"{sum(memory):6.0f} ({' + '.join(f'{part:.0f}' for part in memory)})",
                flush=True,
            )
            reported, counted = now, iteration


def proportional_set_size(process: int | None) -> float:
    """MiB of memory of a process, shared pages divided among those that share them."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
