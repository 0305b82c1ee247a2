"""A process that has imported sr_kd and starts ``python -m sr_kd ...`` as forks of itself: seconds less for each.

Each command is a process of its own, with its arguments, folder and files, as if it had been started anew. One that
needs another environment is none of the server's.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

# What many commands need. With one thread (OMP_NUM_THREADS), none of it starts another, which a fork would lose.
PRELOADED = ("torch.export", "torch._dynamo", "torch.utils.tensorboard", "scipy.stats", "cv2", "PIL.TiffImagePlugin")
PRELOADED += ("sr_kd.recipes.api", "sr_kd.report.write", "sr_kd.distillation.run", "sr_kd.export.export")
CHANGING = ("PYTEST_CURRENT_TEST",)  # of the environment, and read by nobody


class Request(NamedTuple):
    """A command line to run in a folder, and the files for its standard output and standard error."""

    arguments: list[str]
    cwd: str
    out: str
    err: str


class CommandServer:
    """Started once, with the environment that the commands will have."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.connection, theirs = Pipe()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def may_run(self, environment: dict[str, str]) -> bool:
        """Whether that is the server's environment."""
        names = (self.environment.keys() | environment.keys()) - set(CHANGING)
        return all(self.environment.get(name) == environment.get(name) for name in names)

    def run(self, arguments: list[str], cwd: Path | str | None, timeout: float) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of the command. Raises TimeoutExpired after so many seconds, and ends it."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            self.connection.send(Request(arguments, str(cwd or Path.cwd()), str(out), str(err)))
            identifier = self.connection.recv()
            finished = self.connection.poll(timeout)
            if not finished:
                os.kill(identifier, signal.SIGKILL)
            code = self.connection.recv()
            if not finished:
                raise subprocess.TimeoutExpired(arguments, timeout, out.read_bytes(), err.read_bytes())
            return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """End the server."""
        self.connection.close()
        self.process.wait(30)


def serve(connection: Connection) -> Request | None:
    """Fork for each request: returns it in the fork, and None in the server when it is no longer needed."""
    with connection:
        while True:
            try:
                request = connection.recv()
            except EOFError:
                return None
            child = os.fork()
            if child == 0:
                return request
            connection.send(child)
            connection.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def main() -> None:
    """The server, and in its forks the command."""
    for name in PRELOADED:
        import_module(name)
    gc.freeze()  # or the collections of every fork would touch, and so copy, all of this memory
    request = serve(Connection(int(sys.argv[1])))
    if request is None:
        return
    for number, file in ((1, request.out), (2, request.err)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request.cwd)
    sys.argv[1:] = request.arguments
    sys.path[0] = request.cwd  # as `python -m` does
    runpy.run_module("sr_kd", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
