"""The keeper: a small program that runs a server, and ends it and all it started when we end, however we end.

Run as `python keeper.py PARENT COMMAND…`; standard library only. It prints the server's process id, and ends
when its standard input closes, when its parent is gone, or when the server is; nothing of the server outlives it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE = 10.0
"""Seconds between asking the server to end and making it."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(parent: int, command: list[str]) -> int:
    """Run `command` until somebody ends; its exit code."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the server leaves behind becomes our child, so we can find it
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGHUP, _ended)
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
        preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # this process has one thread
    )
    print(server.pid, flush=True)
    try:
        while server.poll() is None and os.getppid() == parent:
            if select.select([0], [], [], 0.2)[0] and not os.read(0, 1):
                break
    except SystemExit:
        pass
    finally:
        _end(server)
    return server.returncode


def _ended(number: int, frame: object) -> None:
    raise SystemExit


def _end(server: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if server.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    deadline = time.monotonic() + GRACE
    while (left := _children()) and time.monotonic() < deadline:
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children() -> list[int]:
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children") as f:
            return [int(pid) for pid in f.read().split()]
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the process group has to do
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(abs(main(int(sys.argv[1]), sys.argv[2:])))
