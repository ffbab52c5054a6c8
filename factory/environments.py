"""Tool environments: Python environments of programs that cannot share ours, made by one command each.

An environment is a folder made by a list of calls of pip, and a record, written last, of the calls that made it: one
that was made half-way, or by another list, is made again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from hala_factory.errors import BuildError
from hala_factory.store import read_json, write_json

_RECORD = "whole.json"


def tools_dir() -> Path:
    """Where tool environments are kept: `HALA_TOOLS`, else the user's data folder."""
    if chosen := os.environ.get("HALA_TOOLS"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "hala-factory" / "tools"


def find(tool: str, override: str) -> Path | None:
    """The Python of a tool's environment, None if there is none (or only a half-made one).

    The environment variable called `override` may name the Python of one that was made by hand.
    """
    if chosen := os.environ.get(override):
        return Path(chosen).expanduser()
    return whole(tools_dir() / tool)


def install(
    tool: str,
    plan: Sequence[Sequence[str]],
    folder: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Make the environment of a tool by calls of pip, unless it is there; the path of its Python.

    `folder` is `tools_dir()` if not given; `say` is told what goes on. What pip says goes to `TOOL.log` beside the
    environment. Raises BuildError, with the log's last lines, when it fails.
    """
    home = (folder or tools_dir()).resolve()
    environment, log = home / tool, home / f"{tool}.log"
    if python := whole(environment, plan):
        return python
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(environment, ignore_errors=True)
    say(f"making {environment}; what pip says goes to {log}")
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin" / "python"
    with log.open("w", encoding="utf-8") as out:
        for arguments in plan:
            say(f"pip {_short(arguments)}")
            command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
            out.write(f"$ {' '.join(command)}\n")
            out.flush()
            if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode:
                raise BuildError(f"pip {_short(arguments)} failed; {log} ends with:\n{tail(log)}")
    write_json(environment / _RECORD, {"made_by": [list(arguments) for arguments in plan]})
    return python


def whole(environment: Path, plan: Sequence[Sequence[str]] | None = None) -> Path | None:
    """The environment's Python, if its record says that it was made to the end (by this plan)."""
    record, python = read_json(environment / _RECORD), environment / "bin" / "python"
    made_by = None if record is None else record.get("made_by")
    known = plan is None or json.dumps(made_by) == json.dumps(plan)
    return python if made_by and known and python.exists() else None


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _short(arguments: Sequence[str], most: int = 5) -> str:
    more = f" and {len(arguments) - most} more" if len(arguments) > most else ""
    return " ".join(arguments[:most]) + more
