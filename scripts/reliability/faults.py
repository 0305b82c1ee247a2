"""Sections about what happens to a process: killed, stopped, out of disk or memory; and to the files of a run."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from runs import TRACEBACK, Command, copy, digests, forked, hidden, make_images, write_recipe
from tally import Tally

from sr_kd.errors import SrKdError
from sr_kd.files import write_text
from sr_kd.networks.build import build_network
from sr_kd.networks.files import load_network, save_network
from sr_kd.training.checkpoint import StateFolder


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sr_kd_faults_") as folder:
        yield Path(folder)


# --- every file-system step -------------------------------------------------------------------------------------------


def crash_points(cases: int, tally: Tally) -> None:
    """A process killed before each call that writing a text, a network and a state makes into the system."""
    network = build_network("FSRCNN", scale=2)
    changed = {key: value + 1 for key, value in network.state_dict().items()}

    def text(folder: Path, new: bool) -> None:
        write_text(folder / "a.json", "new" * 9999 if new else "old" * 9999)

    def weights(folder: Path, new: bool) -> None:
        network.load_state_dict(changed if new else before)
        save_network(folder / "a.pth", network)

    def states(folder: Path, new: bool) -> None:
        for iteration in (3,) if new else (1, 2):
            StateFolder(folder, keep=2).save(iteration, {"step": {"a": torch.full((9999,), float(iteration))}})

    def text_is(folder: Path) -> str:
        return (folder / "a.json").read_text()[:3] if len((folder / "a.json").read_text()) == 3 * 9999 else "half"

    def weights_are(folder: Path) -> str:
        found = load_network(folder / "a.pth").network.state_dict()
        return "old" if all(torch.equal(found[key], before[key]) for key in before) else "new"

    def state_is(folder: Path) -> str:
        found = StateFolder(folder).load_latest()
        return (
            "half"
            if found is None or not (found[1]["step"]["a"] == found[0]).all()
            else "old"
            if found[0] == 2
            else "new"
        )

    before = {key: value.clone() for key, value in network.state_dict().items()}
    for name, act, look in (("text", text, text_is), ("network", weights, weights_are), ("state", states, state_is)):
        for number in range(1, 10_000):
            with scratch() as folder:
                act(folder, False)
                code = _killed_before_call(number, lambda act=act, folder=folder: act(folder, True))  # type: ignore[misc]
                found = look(folder)
                wrong = (
                    found not in ("old", "new")
                    or len(hidden(folder)) > 1
                    or (code == 0 and (found, hidden(folder)) != ("new", []))
                )
                tally.add(f"{name} {found}", f"call {number}: {found}, {hidden(folder)}" if wrong else "")
                if code == 0:
                    break


def _killed_before_call(number: int, act: Callable[[], Any]) -> int:
    """The exit code of a fork that acts, and is killed before its so-manieth call into the system."""
    child = os.fork()
    if child == 0:
        left = number

        def trace(_frame: Any, event: str, function: Any) -> None:
            nonlocal left
            module = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
            if event == "c_call" and module in ("posix", "_io", "io", "fcntl"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(trace)
        act()
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


# --- commands that are killed, stopped, or have too little room  ---


@dataclass(frozen=True)
class Work:
    """A command, with what it leaves when nothing disturbs it."""

    name: str
    arguments: tuple[str, ...]
    again: tuple[str, ...]
    output: str
    seconds: float = 0.0
    expected: Any = None
    bytes: int = 0


def _works(folder: Path, names: str) -> list[Work]:
    """Commands with what they make, each done once without disturbance in `folder`, which holds their images."""
    images = make_images(folder / "images", 24, 96)
    write_recipe(folder, images)
    train = ("train", "-opt", "recipe.yml", "--device", "cpu", "--quiet")
    prepare = ("prepare", "images", "-o", "out", "--workers", "2", "--quiet", "--crop", "48", "--step", "48")
    upscale = ("upscale", "-i", "images", "-o", "out", "--device", "cpu", "--quiet")
    works = [
        Work("train", train, (*train, "--auto_resume"), "experiments"),
        Work("prepare", prepare, prepare, "out"),
        Work("prepare lmdb", (*prepare, "--lmdb"), (*prepare, "--lmdb"), "out"),
        Work("upscale", upscale, (*upscale, "--skip-existing"), "out"),
    ]
    made = []
    for work in works:
        if work.name.split()[0] not in names.split():
            continue
        began = time.monotonic()
        command = Command(work.arguments, folder)
        if command.wait() != 0:
            raise SystemExit(f"{work.name} does not work undisturbed: {command.words()}")
        seconds = time.monotonic() - began
        output = folder / work.output
        size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        made.append(Work(work.name, work.arguments, work.again, work.output, seconds, _content(output), size))
        shutil.rmtree(output)
        for other in ("results", "tb_logger"):
            shutil.rmtree(folder / other, ignore_errors=True)
    return made


def _content(output: Path) -> Any:
    """What is compared: results by their content, LMDBs by what is read from them, trainings by their last states."""
    from sr_kd.data.lmdb import lmdb_images

    found = digests(output)
    for file in output.rglob("*.state"):  # a stopped run also saves where it stopped: the last state counts
        if any(int(other.stem) > int(file.stem) for other in file.parent.glob("*.state")):
            found.pop(file.relative_to(output).as_posix())
    for listing in sorted(output.glob("*.lmdb/meta_info.txt")):
        for image in lmdb_images(str(listing.parent)):
            found[str(image.name)] = str(image.read().pixels.tobytes()[:300])
    return found


def _fresh(folder: Path, work: Work) -> None:
    for name in {work.output, "results", "tb_logger"}:
        shutil.rmtree(folder / name, ignore_errors=True)


def _halves(folder: Path, work: Work) -> str:
    """A result that is there and wrong, while the work is unfinished."""
    try:
        found = digests(folder / work.output)
    except SrKdError as error:
        return f"a half file: {error}"
    wrong = [name for name, digest in found.items() if name in work.expected and digest != work.expected[name]]
    return f"a wrong file: {wrong[0]}" if wrong else ""


def _completed(folder: Path, work: Work) -> str:
    """What is wrong after the command was given once more; its temporary files are made old, as after a minute."""
    output = folder / work.output
    for name in output.rglob(".*") if output.exists() else ():
        os.utime(name, (0, 0))
    code, words = forked(work.again, folder)
    if code != 0 or TRACEBACK in words:
        return f"the next run ended with {code}: {words[-300:]}"
    if _content(output) != work.expected:
        return "the next run made something else"
    return ""


def kills(cases: int, tally: Tally) -> None:
    """SIGKILL of `train`, `prepare` and `upscale` at random moments; the next run ends as if nothing had been."""
    with scratch() as folder:
        works = _works(folder, "train prepare upscale")
        while tally.cases < cases:
            random = Random(f"kills {tally.seed} {tally.cases}")
            work = works[tally.cases % len(works)]
            _fresh(folder, work)
            wrong, killed = "", 0
            arguments = work.arguments
            for _ in range(random.choice((1, 1, 2, 3))):
                command = Command(arguments, folder)
                try:
                    command.process.wait(random.uniform(0.15, 0.8) * work.seconds)
                except subprocess.TimeoutExpired:
                    command.kill()
                    killed += 1
                left = command.survivors()
                wrong = wrong or (f"{len(left)} processes stayed" if left else "") or _halves(folder, work)
                arguments = work.again
            wrong = wrong or _completed(folder, work)
            tally.add(f"{work.name}, {killed} kills", f"{work.name}: {wrong}" if wrong else "")


def signals(cases: int, tally: Tally) -> None:
    """SIGTERM, SIGHUP and SIGINT at random moments: exit code 130 and a sentence, nothing half done stays."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup and a shell's & have these ignored, by the commands too
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with scratch() as folder:
        works = _works(folder, "train prepare upscale")
        while tally.cases < cases:
            random = Random(f"signals {tally.seed} {tally.cases}")
            work = works[tally.cases % len(works)]
            number = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)[tally.cases // len(works) % 3]
            _fresh(folder, work)
            command = Command(work.arguments, folder)
            try:
                command.process.wait(random.uniform(0.1, 0.6) * work.seconds)
            except subprocess.TimeoutExpired:
                command.kill(number)
            code = command.wait()
            words, left = command.words(), command.survivors()
            wrong = f"{len(left)} processes stayed" if left else _halves(folder, work)
            saved = work.name == "train" and "continue with --auto_resume" in words  # what there was
            stopped = 1 if saved else 130
            if code not in (0, stopped, 130, -number) or TRACEBACK in words:
                wrong = f"exit code {code}: {words[-300:]}"
            stayed = [name for name in hidden(folder / work.output) if code in (1, 130)]
            wrong = wrong or (f"{stayed[0]} stayed" if stayed else "") or _completed(folder, work)
            ended = f"exit code {code}" if code else "too late"
            tally.add(f"{work.name}, {number.name}, {ended}", f"{work.name} {number.name}: {wrong}" if wrong else "")


def disk_full(cases: int, tally: Tally) -> None:
    """A file system (tmpfs) with room for 0 %, 5 %... of what is written; given room, the next run completes it."""
    with scratch() as folder:
        works = _works(folder, "train prepare upscale")
        shares = Random(f"disk_full {tally.seed}").sample(range(20), 20)  # some of them are of all sizes
        while tally.cases < min(cases, len(shares) * len(works)):
            work = works[tally.cases % len(works)]
            share = shares[tally.cases // len(works)] / 20
            _fresh(folder, work)
            place = folder / work.output
            place.mkdir()
            size = max(4096, int(work.bytes * share))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
            try:
                command = Command(work.arguments if work.name != "train" else work.again, folder)
                code = command.wait()
                words, left = command.words(), command.survivors()
                wrong = f"{len(left)} processes stayed" if left else _halves(folder, work)
                if code not in (0, 1) or TRACEBACK in words or (code == 1 and not words.strip()):
                    wrong = f"exit code {code}: {words[-300:]}"
                subprocess.run(["mount", "-o", f"remount,size={8 * work.bytes + 2**24}", place], check=True)
                wrong = wrong or _completed(folder, work)
            finally:
                subprocess.run(["umount", "-l", place], check=False)
            tally.add(f"{work.name}, exit code {code}", f"{work.name}, {share:.0%}: {wrong}" if wrong else "")


def low_memory(cases: int, tally: Tally) -> None:
    """`upscale` with an address space of a little more than it has before it begins: smaller tiles or a sentence."""
    with scratch() as folder:
        images = make_images(folder / "images", 1, 300)
        shutil.copy(images / "00000.png", images / "00001.png")
        needed = _address_space(folder)
        while tally.cases < cases:
            room = needed + 2**20 * (25 * tally.cases - 200)

            def limit(room: int = room) -> None:
                resource.setrlimit(resource.RLIMIT_AS, (room, room))

            shutil.rmtree(folder / "out", ignore_errors=True)
            command = Command(("upscale", "-i", "images", "-o", "out", "--device", "cpu"), folder, preexec=limit)
            code, words = command.wait(), command.words()
            made = len(list((folder / "out").glob("*.png"))) if (folder / "out").exists() else 0
            command.survivors()
            started = "sr-kd upscale" in words or made
            wrong = code < 0 or (TRACEBACK in words and bool(started))
            outcome = f"{made} of 2 made" if started else "too little for the imports"
            tally.add(outcome, f"{room >> 20} MiB: exit code {code}: {words[-300:]}" if wrong else "")


def _address_space(folder: Path) -> int:
    """What a command has that is not limited."""
    command, most = Command(("upscale", "-i", "images", "-o", "out", "--device", "cpu"), folder), 0
    while command.process.poll() is None:
        words = Path(f"/proc/{command.process.pid}/status").read_text()
        most = max([most, *(int(line.split()[1]) << 10 for line in words.splitlines() if line.startswith("VmPeak"))])
        time.sleep(0.01)
    command.survivors()
    return most


def ranks(cases: int, tally: Tally) -> None:
    """One of two processes of a training is killed: the other ends; the next run makes the same weights."""
    with scratch() as folder:
        work = _works(folder, "train")[0]
        launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29611", "-m", "sr_kd")
        train = ("train", "-opt", "recipe.yml", "--device", "cpu", "--auto_resume")
        began = time.monotonic()
        whole = Command(train, folder, launcher)
        if whole.wait() != 0:
            raise SystemExit(f"two processes do not work undisturbed: {whole.words()[-500:]}")
        seconds, expected = time.monotonic() - began, _content(folder / "experiments")
        while tally.cases < cases:
            random = Random(f"ranks {tally.seed} {tally.cases}")
            _fresh(folder, work)
            command = Command(train, folder, launcher)
            time.sleep(random.uniform(0.4, 0.95) * seconds)
            from runs import marked

            workers = [number for number in marked(command.mark) if number != command.process.pid]
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
            command.wait()
            left = command.survivors()
            wrong = f"{len(left)} processes stayed" if left else ""
            after = Command(train, folder, launcher)
            if after.wait() != 0:
                wrong = wrong or f"the next run: {after.words()[-300:]}"
            elif _content(folder / "experiments") != expected:
                wrong = wrong or "the next run made something else"
            after.survivors()
            tally.add(f"killed, exit code {command.process.returncode}" if workers else "too late", wrong)


# --- damaged files of runs -------------------------------------------------------------------------------------------


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes, Random], bytes | None]] = {
    "flip": _flip,
    "truncate": lambda data, random: data[: random.randrange(len(data) or 1)],
    "empty": lambda data, random: b"",
    "zeros": lambda data, random: bytes(len(data)),
    "gone": lambda data, random: None,
    "{}": lambda data, random: b"{}",
}


def damage(cases: int, tally: Tally) -> None:
    """Every file of a finished and of an unfinished run, damaged in every way: resumed, reported on, and looked at."""
    with scratch() as folder:
        work = _works(folder, "train")[0]
        _kill_late(folder, work)
        for name in ("experiments", "tb_logger", "results"):
            if (folder / name).exists():
                copy(folder / name, folder / "unfinished" / name)
        forked(work.again, folder)
        for name in ("experiments", "tb_logger", "results"):
            copy(folder / name, folder / "finished" / name)
        jobs = [
            (state, file.relative_to(folder / state), kind)
            for state in ("finished", "unfinished")
            for file in sorted((folder / state).rglob("*"))
            if file.is_file()
            for kind in DAMAGES
        ]
        Random(f"damage {tally.seed}").shuffle(jobs)  # some of them are of all runs, files and kinds
        for state, file, kind in jobs[tally.cases : cases]:
            random = Random(f"damage {tally.seed} {tally.cases}")
            for name in ("experiments", "tb_logger", "results"):
                shutil.rmtree(folder / name, ignore_errors=True)
                if (folder / state / name).exists():
                    copy(folder / state / name, folder / name)
            changed = DAMAGES[kind]((folder / file).read_bytes(), random)
            (folder / file).unlink() if changed is None else (folder / file).write_bytes(changed)
            wrong = ""
            looks = (("status", "experiments/run"), ("report", "experiments/run"))
            looks += (("info", str(file)),) if file.suffix in (".state", ".pth") else ()
            for arguments in looks:
                code, words = forked(arguments, folder)
                if code not in (0, 1, 2) or TRACEBACK in words or (code and not words.strip()):
                    wrong = wrong or f"{arguments[0]}: exit code {code}: {words[-300:]}"
            code, words = forked(work.again, folder)
            if code not in (0, 1, 2) or TRACEBACK in words:
                wrong = wrong or f"train: exit code {code}: {words[-300:]}"
            elif code == 0:
                wrong = wrong or _other_networks(folder / "finished", folder)
            tally.add(f"{state}, exit code {code}", f"{state} {file} {kind}: {wrong}" if wrong else "")


def _kill_late(folder: Path, work: Work) -> None:
    command = Command(work.arguments, folder)
    states = folder / "experiments" / "run" / "training_states" / "student"
    while command.process.poll() is None and not list(states.glob("14.state")):
        time.sleep(0.005)
    command.kill()
    command.survivors()


def _other_networks(whole: Path, folder: Path) -> str:
    """What is wrong with the networks that a run leaves."""
    for file in sorted(whole.rglob("net_g_latest.pth")):
        name = file.relative_to(whole)
        try:
            left, right = (load_network(root / name).network.state_dict() for root in (whole, folder))
        except SrKdError as error:
            return f"train left: {error}"
        if any(not torch.equal(left[key], right[key]) for key in left):
            return f"train made another {name}"
    return ""
