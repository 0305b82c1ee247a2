"""A process that has imported sr_kd and starts ``python -m sr_kd ...`` as forks of itself: seconds less for each.

Each command is a process of its own, with its arguments, folder, environment and files, as if it had been started anew.
What is read while importing (such as OMP_NUM_THREADS) it takes from the server: see `CommandServer.may_run`.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

# What many commands need. With one thread (OMP_NUM_THREADS), none of it starts another, which a fork would lose.
PRELOADED = ("torch.export", "torch._dynamo", "torch.utils.tensorboard", "scipy.stats", "cv2", "PIL.TiffImagePlugin")
PRELOADED += ("sr_kd.recipes.api", "sr_kd.report.write", "sr_kd.distillation.run", "sr_kd.export.export")


class CommandServer:
    """Started once, with the environment that the commands will have.

    Args:
        environment: of the server. Commands whose PYTHONPATH or thread count differs are not for it.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.connection, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self.answers = self.connection.makefile("r")

    def may_run(self, environment: dict[str, str]) -> bool:
        """Whether nothing that is read while importing differs."""
        names = ("PYTHONPATH", "OMP_NUM_THREADS", "PATH", "HOME")
        return all(self.environment.get(name) == environment.get(name) for name in names)

    def run(
        self, arguments: list[str], *, cwd: Path | str | None, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of the command. Raises TimeoutExpired after so many seconds, and ends it."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            request = {
                "arguments": arguments,
                "cwd": str(cwd or Path.cwd()),
                "environment": environment,
                "files": [str(out), str(err)],
            }
            self.connection.sendall((json.dumps(request) + "\n").encode())
            identifier = int(self.answers.readline())
            if not select.select([self.connection], [], [], timeout)[0]:
                os.kill(identifier, signal.SIGKILL)
                self.answers.readline()
                raise subprocess.TimeoutExpired(arguments, timeout, out.read_bytes(), err.read_bytes())
            code = int(self.answers.readline())
            return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """End the server."""
        self.connection.close()
        self.answers.close()
        self.process.wait(30)


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork once for each request: returns it in the fork, and None in the server when it is no longer needed."""
    with connection, connection.makefile("r") as requests:
        for line in requests:
            child = os.fork()
            if child == 0:
                return json.loads(line)
            connection.sendall(f"{child}\n".encode())
            status = os.waitpid(child, 0)[1]
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return None


def main() -> None:
    """The server, and in its forks the command."""
    for name in PRELOADED:
        import_module(name)
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return
    for number, file in enumerate(request["files"], start=1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = request["cwd"]  # as `python -m` does
    runpy.run_module("sr_kd", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
