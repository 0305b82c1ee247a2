"""Fuzzing: a child process does the cases, and says after each what became of it; this one keeps the time.

As a program (the child): ``fuzz.py TARGET SEED FIRST LAST`` in an empty folder.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from random import Random

from tally import Tally

LIMIT = 10.0  # seconds for a case
BUSY = 0.3  # share of them that it must have computed: on a busy machine a case may wait for the processor, up to
LONGEST = 120.0  # so many seconds
START = 180.0  # and for the imports before the first
MEMORY = 6 * 2**30  # of the child
AGAIN = 2000  # cases after which a new child is taken


def fuzz(target: str, cases: int, tally: Tally) -> None:
    """Do cases of a target until there are so many."""
    while tally.cases < cases:
        last = min(cases, tally.cases + AGAIN)
        with tempfile.TemporaryDirectory(prefix="sr_kd_fuzz_") as folder:
            _child(target, tally, last, Path(folder))


def _child(target: str, tally: Tally, last: int, folder: Path) -> None:
    """One child's cases; ends early where a case kills it or takes too long."""
    command = [sys.executable, __file__, target, str(tally.seed), str(tally.cases), str(last)]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "OMP_NUM_THREADS": "1"}
    begun, errors = False, (folder / "stderr.txt").open("w+b")
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
    answers = process.stdout
    if answers is None:
        return
    with errors, process, selectors.DefaultSelector() as waiting:
        waiting.register(answers, selectors.EVENT_READ)
        try:
            while tally.cases < last:
                waited, used = time.monotonic(), _computed(process.pid)
                ready = waiting.select(LIMIT if begun else START)
                while not ready and begun and time.monotonic() - waited < LONGEST:
                    if _computed(process.pid) - used > BUSY * LIMIT:
                        break
                    ready = waiting.select(LIMIT)
                line = answers.readline() if ready else None
                if line is None:
                    tally.add("hang", f"no answer within {LIMIT:.0f} s" if begun else "the child did not start")
                    break
                if not line:
                    process.wait()
                    errors.seek(0)
                    words = errors.read().decode(errors="replace").strip().splitlines()[-1:] or [""]
                    tally.add("death", f"exit code {process.returncode}: {words[0]}")
                    if not begun:
                        raise SystemExit(f"the child of {target} did not start: {words[0]}")
                    break
                if begun:
                    tally.add(*json.loads(line))
                begun = True
        finally:
            process.kill()


def _computed(process: int) -> float:
    """Seconds of computing of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(target: str, seed: str, first: str, last: str) -> None:
    """The child."""
    from guard import Guard
    from targets import TARGETS

    from sr_kd.errors import SrKdError

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    logging.getLogger("sr_kd").addHandler(logging.NullHandler())
    logging.getLogger("sr_kd").propagate = False
    case, guard = TARGETS[target](), Guard(Path.cwd())
    for number in range(40):  # imports within, before anything is watched
        with suppress(Exception):
            case(Random(f"warm up {number}"))
    answers.write('["ready"]\n')
    for number in range(int(first), int(last)):
        detail = ""
        guard.watching = True
        try:
            outcome = case(Random(f"{target} {seed} {number}"))
        except SrKdError as error:
            outcome = "refused"
            if not str(error).strip():
                outcome, detail = "empty message", repr(error)
        except MemoryError:
            outcome = "refused"
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            own = [frame for frame in traceback.extract_tb(error.__traceback__) if "sr_kd" in frame.filename][-1:]
            where = f"{Path(place.filename).name}:{place.lineno}" + "".join(
                f" < {Path(f.filename).name}:{f.lineno}" for f in own
            )
            outcome, detail = "traceback", f"{type(error).__name__}: {' '.join(str(error).split())[:200]} ({where})"
        guard.watching = False
        for seen in guard.take():
            outcome, detail = "forbidden", seen
        answers.write(json.dumps([outcome, detail]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
