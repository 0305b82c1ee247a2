"""``sr-kd``: finds the command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import SrKdError, UsageError, nearest, printable
from ..memory import is_out_of_memory, keep_freed_memory, torch_fits

COMMANDS = {
    "upscale": "upscale images with a trained model",
    "distil": "a large network and images in, a small network out",
    "label": "let a teacher answer a folder of images once, to train students on",
    "train": "run a training recipe",
    "test": "measure models on test sets, from an option file",
    "evaluate": "PSNR, SSIM and other scores of a model, or of finished images",
    "report": "what a run did: one page, tables and images",
    "status": "how far a run is, and the time left for all of it",
    "features": "feature maps of teacher and student side by side, and what the losses see of them",
    "info": "what a network's file or a training state is",
    "montage": "magnified crops of several models side by side, as PNG or PDF",
    "export": "a network as a file for other programs (ONNX, Core ML, ncnn, GLSL...)",
    "prepare": "make LR images, sub-images or LMDBs of a training set",
    "recipes": "list and copy the option files that ship with the package",
    "models": "list the models that ship with the package",
    "bench": "measure speed beside other programs and what the machine could do",
    "schema": "the JSON schema of option files, for editors",
    "check": "validate an option file without running it",
}
MAY_BE_EMPTY = ("suffix",)


class _Parser(argparse.ArgumentParser):
    """Names the nearest option for one that is unknown, with the usage of the command that was given it."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            self.error(f"unknown argument: {unknown[0]}{nearest(name, self._option_string_actions)}")
        return parsed, unknown


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser; with `only`, the arguments of that command alone are loaded."""
    parser = _Parser(
        prog="sr-kd", description="Distil super-resolution networks: train, measure, ship and use small students."
    )
    parser.add_argument("--version", action="version", version=f"sr-kd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if name == only:
            module = import_module(f".{name}", __package__)
            module.add_arguments(command)
            command.add_argument(
                "--plugin",
                action="append",
                default=[],
                metavar="FILE",
                help="a Python file whose register() adds networks, losses or metrics; may be repeated",
            )
            command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (failed work) or 2 (wrong usage or options)."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files are bytes that need not be text
    given = list(sys.argv[1:] if arguments is None else arguments)
    only = next((argument for argument in given if argument in COMMANDS), None)
    try:
        _refuse_removed_folder()
        parsed = build_parser(only).parse_args(given)
        keep_freed_memory()
        if not torch_fits():
            raise SrKdError("out of memory: the limit of addresses (ulimit -v) leaves no room for PyTorch; raise it")
        _refuse_empty(parsed)
        if parsed.plugin:
            from ..config.plugins import load_plugins

            load_plugins(parsed.plugin, Path.cwd())
        with _stopped_by_signals():
            return int(parsed.run(parsed) or 0)
    except SrKdError as error:
        lines = "\n".join(map(printable, str(error).split("\n")))
        print(f"sr-kd {only}: error: {lines}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a path too long, no permission, a full disk: whatever was not foreseen
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"sr-kd {only}: error: {printable(f'{place}{error.strerror or error}')}", file=sys.stderr)
        return 1
    except (MemoryError, ImportError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"sr-kd {only}: error: out of memory", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"sr-kd {only}: stopped", file=sys.stderr)
        return 130


def _open_closed_streams() -> None:
    """Of standard streams that were closed (`2>&-`): the work is done all the same, no file gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _refuse_removed_folder() -> None:
    """Libraries that are loaded later would end the process where the current folder is gone."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder was removed: go to another one") from None


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """What a closed terminal or a shutdown sends stops as Ctrl-C does, so that nothing half done stays."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, stop) for number in numbers if number not in ignored}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_empty(parsed: argparse.Namespace) -> None:
    """An empty text, such as a shell's unset variable, would mean the current folder where a path is expected."""
    for name, value in vars(parsed).items():
        if name not in MAY_BE_EMPTY and "" in (value if isinstance(value, list) else [value]):
            raise UsageError(f"argument '{name}' is empty; leave it out, or write '.' for the current folder")


if __name__ == "__main__":
    sys.exit(main())
