"""What a file's content must never cause, seen by Python's audit hook: in the process that reads the file."""

from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path
from typing import Any

CANARY = "sr_kd_canary"  # an attribute of `builtins` that the code in hostile files sets
STARTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "os.startfile",
    "subprocess.Popen",
    "pty.spawn",
)
CONNECTS = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "urllib.Request",
)
# Event -> which of its arguments are paths that it changes.
CHANGES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.chmod": (0,),
    "os.truncate": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Collects what a case did that it must not. One of them for a process: hooks cannot be taken off.

    Args:
        folder: where alone files may be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._seen: list[str] = []
        self.watching = False
        sys.addaudithook(self._event)

    def take(self) -> list[str]:
        """What was seen since the last call."""
        seen, self._seen = self._seen, []
        if getattr(builtins, CANARY, None):
            delattr(builtins, CANARY)
            seen.append("code of the file was run")
        sockets = [name for name in Path("/proc/self/fd").iterdir() if _target(name).startswith("socket:")]
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return [*seen, *(["a socket is open"] if sockets else []), *(["a child process is there"] if children else [])]

    def _event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event in STARTS or event in CONNECTS:
            self._seen.append(f"{event}{arguments[:2]!r}"[:200])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            self._check(event, arguments[0])
        else:
            for index in CHANGES.get(event, ()):
                self._check(event, arguments[index])

    def _check(self, event: str, path: Any) -> None:
        if isinstance(path, (str, bytes)):
            place = os.path.realpath(os.fsdecode(path))
            if place != os.devnull and not place.startswith(self._folder + os.sep):
                self._seen.append(f"{event} outside the folder: {place}"[:200])


def _target(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:  # the handle by which the folder was listed
        return ""
