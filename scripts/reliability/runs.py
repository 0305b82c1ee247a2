"""The real command line, in processes of its own, on a small set and a short recipe; and what it must leave."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image
import yaml
from skimage import data

from sr_kd.cli.main import main
from sr_kd.images import SUFFIXES, read_image
from sr_kd.training.checkpoint import read_state

TIMEOUT = 300.0  # seconds for a command, on a busy machine
MARK = "SR_KD_RELIABILITY"  # in the environment of all processes of a command
TRACEBACK = "Traceback (most recent call last)"


def make_images(folder: Path, count: int, side: int = 64) -> Path:
    """Small crops of photographs, each another one."""
    folder.mkdir(parents=True)
    sources = [data.astronaut(), data.coffee(), data.chelsea()]
    for number in range(count):
        source = sources[number % 3]
        top, left = number * 7 % (source.shape[0] - side), number * 13 % (source.shape[1] - side)
        PIL.Image.fromarray(source[top : top + side, left : left + side]).save(
            folder / f"{number:05}.png", compress_level=1
        )
    return folder


def write_recipe(folder: Path, images: Path, iterations: int = 40) -> Path:
    """A teacher and its student, saved every few iterations."""
    losses = {
        "teacher": {"type": "Imitation", "weight": 0.01},
        "student": {"type": "VID", "weight": 1e-4, "taps": ["expanding"]},
    }
    recipe = {
        "name": "run",
        "scale": 2,
        "datasets": {
            "train": {"dataroot_gt": str(images), "gt_size": 32, "batch_size_per_gpu": 4},
            "val": {"name": "val", "dataroot_gt": str(images)},
        },
        "networks": {
            "teacher": {"type": "PrivilegedTeacher", "encoder": {"type": "Hourglass"}, "decoder": {"type": "FSRCNN"}},
            "student": {"type": "FSRCNN", "init": "bicubic"},
        },
        "phases": {
            "teacher": {"trains": "teacher", "total_iter": iterations, "losses": [{"type": "L1"}, losses["teacher"]]},
            "student": {
                "needs": ["teacher"],
                "trains": "student",
                "init": {"from": "teacher", "part": "decoder"},
                "total_iter": iterations,
                "losses": [{"type": "L1"}, losses["student"]],
            },
        },
        "val": {"val_freq": iterations},
        "logger": {"print_freq": 10, "save_checkpoint_freq": 7},
        "path": {"experiments_root": "experiments", "results_root": "results", "tb_root": "tb_logger"},
    }
    file = folder / "recipe.yml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return file


@dataclass
class Command:
    """A running command.

    Attributes:
        mark: found in the environment of every process that it starts, and that they start.
    """

    arguments: Sequence[str]
    folder: Path
    launcher: Sequence[str] = ("-m", "sr_kd")
    preexec: object = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self._words = (self.folder / "words.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *self.launcher, *self.arguments],
            cwd=self.folder,
            env={**os.environ, MARK: self.mark, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._words,
            stderr=subprocess.STDOUT,
            preexec_fn=self.preexec,  # type: ignore[arg-type]
        )

    def wait(self) -> int:
        """The exit code; a command that takes too long is killed, and counts as such."""
        try:
            return self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGALRM

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the main process, and it alone, a signal."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def words(self) -> str:
        """What it printed."""
        self._words.flush()
        return (self.folder / "words.txt").read_text(errors="replace")

    def survivors(self, seconds: float = 60) -> list[int]:
        """Its processes that are there still after so long; they are ended."""
        until = time.monotonic() + seconds
        while (found := marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.2)
        for each in found:
            os.kill(each, signal.SIGKILL)
        self._words.close()
        return found


def marked(mark: str) -> list[int]:
    """The processes with a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if (
                f"{MARK}={mark}".encode() in place.read_bytes()
                and "Z" not in (place.parent / "stat").read_text().split()[2]
            ):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def forked(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """The exit code and words of a command, in a fork of this process, whose imports it need not repeat."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            words = os.open("words.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(words, 1)
            os.dup2(words, 2)
            signal.alarm(int(TIMEOUT))
            code = main(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            (folder / "modules.txt").write_text("\n".join(sys.modules))
            os._exit(code)
    _, status = os.waitpid(child, 0)
    for name in (folder / "modules.txt").read_text().split() if (folder / "modules.txt").exists() else ():
        if name.startswith("sr_kd."):  # for the next fork, which so need not import it and all that it imports
            importlib.import_module(name)
    return os.waitstatus_to_exitcode(status), (folder / "words.txt").read_text(errors="replace")


def digests(folder: Path) -> dict[str, str]:
    """What a command was to make: every result by name, images by their pixels, states by their weights."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name, suffix = file.relative_to(folder).as_posix(), file.suffix
        if file.is_dir() or file.name.startswith(".") or file.name.startswith("events."):
            continue
        if suffix in SUFFIXES:
            found[name] = hashlib.sha256(read_image(file).pixels.tobytes()).hexdigest()
        elif suffix == ".state":
            step = read_state(file)["step"]
            found[name] = hashlib.sha256(b"".join(value.numpy().tobytes() for value in step.values())).hexdigest()
        elif file.name == "meta_info.txt":
            found[name] = file.read_text()
    return found


def hidden(folder: Path) -> list[str]:
    """Temporary files."""
    return [path.name for path in folder.rglob(".*") if path.is_file() and not path.name.endswith(".lock")]


def copy(source: Path, target: Path) -> Path:
    """A folder anew."""
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(source, target, symlinks=True)
